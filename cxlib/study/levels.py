"""The levels of a column: how the study file writes them, and what they are called."""

from __future__ import annotations

import numpy as np

from cxlib.study.schema import Study


def level_of(value: object) -> str:
    """A value of a grouping column as the study file writes it."""
    return (
        str(int(value))
        if isinstance(value, float | bool | np.bool_) and value == int(value)
        else str(value)
    )


def level_name(study: Study, column: str, level: str, language: str) -> str:
    """The words for a level of a column; flags are yes and no."""
    declared = study.columns[column]
    if level in declared.levels:
        return declared.levels[level][language]
    flag = {"0": ("no", "否"), "1": ("yes", "是")} if declared.kind == "flag" else {}
    return flag.get(level, (level, level))[language == "zh"]
