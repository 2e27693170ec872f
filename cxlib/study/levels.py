"""The levels of a column: how the study file writes them, and what they are called."""

from __future__ import annotations

import numpy as np

from cxlib.core.words import Sentence, c_, listed
from cxlib.study.schema import Study

FLAG = {"0": c_("level of a flag", "no"), "1": c_("level of a flag", "yes")}


def level_of(value: object) -> str:
    """A value of a grouping column as the study file writes it."""
    return (
        str(int(value))
        if isinstance(value, float | bool | np.bool_) and value == int(value)
        else str(value)
    )


def level_name(study: Study, column: str, level: str) -> Sentence:
    """The words for a level of a column; flags are yes and no."""
    declared = study.columns[column]
    if level in declared.levels:
        return listed([declared.levels[level]])
    return listed([FLAG.get(level, level) if declared.kind == "flag" else level])
