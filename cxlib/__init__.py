"""cxlib: a customer-experience survey, from raw responses to a defensible answer.

The face: `open_run`, `load`, and each stage by its short name, loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxlib.run.folder import open_run as open_run
    from cxlib.study.schema import load as load

_FUNCTIONS = {"open_run": "run.folder", "load": "study.schema"}
_STAGES = {
    "reading": "responses",
    "cleaning": "stages.cleaning.cleaning",
    "missing": "stages.cleaning.missing",
    "power": "stages.power",
    "description": "stages.description.description",
    "reliability": "stages.reliability",
    "factors": "stages.factors",
    "measurement": "stages.measurement.measurement",
    "discriminant": "stages.measurement.discriminant",
    "structure": "stages.structure.structure",
    "importance": "stages.structure.importance",
    "interaction": "stages.structure.interaction",
    "mediation": "stages.mediation",
    "groups": "stages.groups.groups",
    "group_paths": "stages.groups.paths",
    "moderation": "stages.groups.moderation",
    "verdicts": "stages.verdicts",
    "simulate": "simulation.simulate",
    "diagram": "diagram",
    "sem": "sem",
}
__all__ = [*_FUNCTIONS, *_STAGES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"cxlib.{_FUNCTIONS[name]}"), name)
    if name in _STAGES:
        return importlib.import_module(f"cxlib.{_STAGES[name]}")
    raise AttributeError(f"cxlib has no '{name}'. It has: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return list(__all__)
