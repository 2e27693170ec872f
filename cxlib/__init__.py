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
STAGES = {
    "reading": "cxlib.responses",
    "cleaning": "cxlib.stages.cleaning.cleaning",
    "missing": "cxlib.stages.cleaning.missing",
    "power": "cxlib.stages.power",
    "description": "cxlib.stages.description.description",
    "reliability": "cxlib.stages.reliability",
    "factors": "cxlib.stages.factors",
    "measurement": "cxlib.stages.measurement.measurement",
    "discriminant": "cxlib.stages.measurement.discriminant",
    "structure": "cxlib.stages.structure.structure",
    "importance": "cxlib.stages.structure.importance",
    "interaction": "cxlib.stages.structure.interaction",
    "mediation": "cxlib.stages.mediation",
    "groups": "cxlib.stages.groups.groups",
    "group_paths": "cxlib.stages.groups.paths",
    "moderation": "cxlib.stages.groups.moderation",
    "verdicts": "cxlib.stages.verdicts",
    "simulate": "cxlib.simulation.simulate",
    "diagram": "cxlib.diagram",
    "sem": "cxlib.sem",
}
"""The stages and what else notebooks call, by the name they use."""
__all__ = [*_FUNCTIONS, *STAGES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"cxlib.{_FUNCTIONS[name]}"), name)
    if name in STAGES:
        return importlib.import_module(STAGES[name])
    raise AttributeError(f"cxlib has no '{name}'. It has: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return list(__all__)
