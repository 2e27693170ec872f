"""Items as they were answered: which say nothing, which run against their construct, whose scale looks wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlib.core.result import Text
from cxlib.core.words import Sentence, _
from cxlib.study.schema import Study


def check_items(frame: pd.DataFrame, study: Study) -> tuple[Text, ...]:
    """Items that cannot inform a factor (unanswered, constant, copied), and scales whose ends nobody uses."""
    found: list[Text] = []
    seen: dict[bytes, str] = {}
    for item in (item for item in study.items if item in frame):
        answers = frame[item].dropna()
        first = seen.setdefault(frame[item].to_numpy(float).tobytes(), item)
        if answers.empty:
            found.append(
                _(
                    "Item {item} has no answer in any row: leave it out of the study, or look for its answers in the file.",
                    item=item,
                )
            )
        elif answers.min() == answers.max():
            found.append(
                _(
                    "Item {item} has the same answer in every row: it carries no information and cannot load on a factor.",
                    item=item,
                )
            )
        elif first != item:
            found.append(
                _(
                    "Items {first} and {item} have identical answers in all {rows:,} rows: one is a copy.",
                    first=first,
                    item=item,
                    rows=len(frame),
                )
            )
    return tuple(found) + _unused_ends(frame, study)


def against_their_construct(data: pd.DataFrame, study: Study) -> tuple[Sentence, ...]:
    """Items that run against the rest of their construct in recoded answers: recoded twice, or never."""
    found = []
    for construct, items in study.scales.items():
        r = data[items].corr().to_numpy()
        if len(items) < 3 or np.isnan(r).any():
            continue
        direction = np.linalg.eigh(r)[1][:, -1]
        along = direction * np.sign(np.sign(direction).sum()) > 0
        agreed, against = data[items].loc[:, along].mean(axis=1), np.array(items)[~along]
        for item in (str(item) for item in against if data[item].corr(agreed) < 0):
            turned = _(
                "Item {item} runs against the rest of {construct} after recoding: the file may hold it already recoded; if so, take "
                "'reverse: true' out.",
                item=item,
                construct=construct,
            )
            never = _(
                "Item {item} runs against the rest of {construct} as it stands: if it is worded the other way round, declare "
                "'reverse: true'.",
                item=item,
                construct=construct,
            )
            found.append(turned if item in study.reversed else never)
    return tuple(found)


def _unused_ends(frame: pd.DataFrame, study: Study) -> tuple[Text, ...]:
    """Constructs no item of which is ever answered with its lowest, or highest, category: often a wrong scale."""
    narrow: dict[tuple[float, ...], list[str]] = {}
    for code, declared in study.scales.items():
        items = [item for item in declared if item in frame]
        for low, high in dict.fromkeys(study.scale_of(item) for item in items):
            answers = frame[[item for item in items if study.scale_of(item) == (low, high)]].copy()
            for item in answers.columns.intersection(frame.attrs.get("recoded", [])):
                answers[item] = low + high - answers[item]  # as it was answered
            first, last = answers.min().min(), answers.max().max()
            if (
                answers.notna().any(axis=1).sum() >= 50
                and high - low <= 10
                and (first > low or last < high)
            ):
                narrow.setdefault((low, high, first, last), []).append(code)
    return tuple(
        _(
            "{codes}: declared {low:g}–{high:g}, observed {first:g}–{last:g} over all items. If the questionnaire offered "
            "{first:g}–{last:g}, correct scale:, otherwise reverse items are turned round wrongly.",
            codes=codes,
            low=low,
            high=high,
            first=first,
            last=last,
        )
        for (low, high, first, last), codes in narrow.items()
    )
