"""cxlib: a customer-experience survey, from raw responses to a defensible answer.

One module a stage, in the order of the walk; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "cleaning", "description", "discriminant", "factors", "group_paths", "groups", "importance", "interaction", "measurement", "mediation",
    "missing", "moderation", "open_run", "power", "reading", "reliability", "report", "run", "sem", "show", "simulate",
    "structure", "study", "verdicts",
]  # fmt: skip

if TYPE_CHECKING:
    from cxlib.run import open_run


def __getattr__(name: str) -> Any:
    if name == "open_run":
        return importlib.import_module("cxlib.run").open_run
    if name in __all__:
        return importlib.import_module(f"cxlib.{name}")
    raise AttributeError(f"cxlib has no '{name}'. It has: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return list(__all__)
