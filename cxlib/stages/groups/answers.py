"""Answers as ordered categories in groups: those that nobody of a group gave, and what WLSMV cannot say of a ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from cxlib.core.result import Text
from cxlib.core.words import Sentence, _, c_, n_
from cxlib.sem.polychorics import merge_unchosen, unchosen

RUNGS = {
    "configural": c_("cell of level", "configural"),
    "thresholds": c_("cell of level", "thresholds"),
    "metric": c_("cell of level", "metric"),
    "metric_second": c_("cell of level", "metric_second"),
    "scalar": c_("cell of level", "scalar"),
    "scalar_second": c_("cell of level", "scalar_second"),
    "strict_second": c_("cell of level", "strict_second"),
    "strict": c_("cell of level", "strict"),
}
"""The levels of invariance as the tables have them, and the words a reader sees."""


def by_group(
    data: pd.DataFrame, items: Sequence[str], column: str, levels: Sequence[str], missing: str
) -> dict[str, pd.DataFrame]:
    """Level → its answers: of complete rows if `missing` is "listwise"."""
    frame = data[[*items, column]]
    frame = frame.dropna() if missing == "listwise" else frame
    return {level: frame.loc[frame[column] == level, list(items)] for level in levels}


def gaps(parts: dict[str, pd.DataFrame], name: Callable[[str], Sentence]) -> Sentence | None:
    """What is lacking, in words; None if every group gave every answer."""
    if not parts or not (found := unchosen(parts)):
        return None
    level, item, value = found[0]
    return n_(
        "In {n:,} case nobody of a group gave an answer that others gave, first {value:g} to {item} in group '{group}'.",
        "In {n:,} cases nobody of a group gave an answer that others gave, first {value:g} to {item} in group '{group}'.",
        len(found),
        value=value,
        item=item,
        group=name(level),
    )


def merged(data: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Sentence]:
    """The data with every answer that a group lacks merged with its neighbour in all groups, and what was merged."""
    into = merge_unchosen(parts)
    told = [f"{item} {a:g} → {b:g}" for item, pairs in into.items() for a, b in pairs.items()]
    rules: Any = into  # the stubs of pandas know no rules by column
    return data.replace(rules), _(
        "Answers that nobody of a group gave were merged with their neighbours in all groups: {answers}.",
        answers=told,
    )


def unsaid(table: pd.DataFrame) -> list[Text]:
    """What is empty in the levels of invariance that WLSMV fitted, and how to judge them."""
    notes: list[Text] = [
        _(
            "WLSMV has no likelihood, so aic and bic are empty; χ², CFI, TLI and RMSEA are the scaled ones. The limits of their changes were "
            "found with maximum likelihood: at the same misfit WLSMV looks better (Xia & Yang 2019, doi:10.3758/s13428-018-1055-2), so "
            "look at Δχ² too."
        )
    ]
    if (same := table["d_df"].isna()).sum() > 1:
        notes.append(
            _(
                "No test of {level}: with three answers a question fits the same with it as without it.",
                level=RUNGS[table.loc[same, "level"].iloc[-1]],
            )
        )
    return notes
