"""Answers as ordered categories in groups: those that nobody of a group gave, and what WLSMV cannot say of a ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from cxlib.core.result import Text
from cxlib.core.words import plural
from cxlib.sem.polychorics import merge_unchosen, unchosen


def by_group(
    data: pd.DataFrame, items: Sequence[str], column: str, levels: Sequence[str], missing: str
) -> dict[str, pd.DataFrame]:
    """Level → its answers: of complete rows if `missing` is "listwise"."""
    frame = data[[*items, column]]
    frame = frame.dropna() if missing == "listwise" else frame
    return {level: frame.loc[frame[column] == level, list(items)] for level in levels}


def gaps(parts: dict[str, pd.DataFrame], name: Callable[[str, str], str]) -> Text | None:
    """What is lacking, in words; None if every group gave every answer."""
    if not parts or not (found := unchosen(parts)):
        return None
    level, item, value = found[0]
    return {
        "en": f"In {plural(len(found), 'case')} nobody of a group gave an answer that others gave, first {value:g} to {item} in group "
        f"'{level}'.",
        "zh": f"有 {len(found)} 处某组无人选择其他组选过的选项，例如“{name(level, 'zh')}”组在 {item} 上无人选 {value:g}。",
    }


def merged(data: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, Text]:
    """The data with every answer that a group lacks merged with its neighbour in all groups, and what was merged."""
    into = merge_unchosen(parts)
    said = {
        lang: mark.join(
            f"{item} {a:g} → {b:g}" for item, pairs in into.items() for a, b in pairs.items()
        )
        for lang, mark in (("en", ", "), ("zh", "、"))
    }
    return data.replace(into), {
        "en": f"Answers that nobody of a group gave were merged with their neighbours in all groups: {said['en']}.",
        "zh": f"某组无人选择的选项已在所有组中与相邻选项合并：{said['zh']}。",
    }


def unsaid(table: pd.DataFrame) -> list[Text]:
    """What is empty in the levels of invariance that WLSMV fitted, and how to judge them."""
    notes = [
        {
            "en": "WLSMV has no likelihood, so aic and bic are empty; χ², CFI, TLI and RMSEA are the scaled ones. The limits of their changes were "
            "found with maximum likelihood: at the same misfit WLSMV looks better (Xia & Yang 2019, doi:10.3758/s13428-018-1055-2), so "
            "look at Δχ² too.",
            "zh": "WLSMV 没有似然，因此 aic 和 bic 为空；χ²、CFI、TLI、RMSEA 均为校正（scaled）值。变化的界值来自最大似然：同样的误设，"
            "WLSMV 看起来更好（Xia & Yang 2019，doi:10.3758/s13428-018-1055-2），因此也要看 Δχ²。",
        }
    ]
    if (same := table["d_df"].isna()).sum() > 1:
        level = table.loc[same, "level"].iloc[-1]
        notes.append(
            {
                "en": f"No test of {level}: with three answers a question fits the same with it as without it.",
                "zh": f"{level} 无法检验：三个选项的题目，加不加该约束拟合相同。",
            }
        )
    return notes
