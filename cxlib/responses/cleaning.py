"""From raw responses to the analysis frame: which rows leave by which declared rule, and reverse items turned once.

Only rules that the study file declares remove a row (duplicates, attention checks, duration, straight-lining in the
administered order, contradictions); the other indices of :mod:`cxlib.statistics.careless` remove nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import _, c_
from cxlib.statistics.careless import even_odd, irv, longstring, mahalanobis
from cxlib.study.conditions import where
from cxlib.study.schema import Study

STEPS = {
    "received": c_("step of cleaning", "received"),
    "empty": c_("step of cleaning", "no question answered"),
    "duplicates": c_("step of cleaning", "answered more than once"),
    "attention": c_("step of cleaning", "failed an attention check"),
    "speed": c_("step of cleaning", "too fast"),
    "straightlining": c_("step of cleaning", "straight-lining"),
    "contradictions": c_("step of cleaning", "contradictory answers"),
}
"""The steps of the cleaning flow, in the order in which they are applied."""
SHORTEST_RUN = 10
"""No run of equal answers shorter than this removes a row, however short the questionnaire."""


@dataclass(frozen=True)
class Screened:
    """The analysis frame, and what was counted on the way to it.

    data : kept rows; reverse items recoded, item codes unchanged; the column `respondent` is the respondent's id (the
        row of the file where the study declares none)
    steps : DataFrame step, removed, remaining
    indices : DataFrame respondent, kept, reasons and one column an index, for every row received
    strays : question → answers to it that did not apply, and became missing
    asked : construct with a condition → how many kept respondents were asked
    """

    data: pd.DataFrame
    steps: pd.DataFrame
    indices: pd.DataFrame
    strays: Mapping[str, int]
    asked: Mapping[str, int]


def screen(frame: pd.DataFrame, study: Study) -> Screened:
    """Screen the responses by the rules the study declares, and recode its reverse items.

    Raises
    ------
    DataError
        The responses were recoded before; a condition of the study cannot be evaluated; no row is left.
    """
    refuse_recoded(frame)
    items = [item for item in study.items if item in frame]
    kept = pd.Series(True, index=frame.index)
    reasons = pd.Series([[] for _row in range(len(frame))], index=frame.index)
    steps = [("received", 0, len(frame))]
    for step, hit in _rules(frame, study, items).items():
        steps.append((step, int((hit & kept).sum()), int((kept & ~hit).sum())))
        kept &= ~hit
        for row in frame.index[hit]:
            reasons[row].append(step)
    if not kept.any():
        raise DataError(
            _(
                "No row is left after screening ({removed}). Check screening: in the study file, above all attention: and min_duration:.",
                removed=[
                    _("{step}: {n}", step=STEPS[step], n=count) for step, count, _rest in steps[1:]
                ],
            )
        )
    ids = _id_column(study)
    respondent = (
        frame[ids].where(frame[ids].notna(), frame.index.astype(str))
        if ids
        else frame.index.to_series()
    )
    data, strays, asked = _asked_only(frame[kept], study)
    data = recode(data, study)
    data.insert(0, "respondent", respondent[kept])
    told = {"respondent": respondent, "kept": kept, "reasons": reasons.map("; ".join)}
    return Screened(
        data.reset_index(drop=True),
        pd.DataFrame(steps, columns=["step", "removed", "remaining"]),
        pd.DataFrame(told | _indices(frame, study, items, kept)).reset_index(drop=True),
        strays,
        asked,
    )


def recode(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Turn the reverse items round by their **declared** range: lowest + highest − answer.

    Raises
    ------
    DataError
        The frame was recoded before: a second time would undo the first.
    """
    refuse_recoded(frame)
    turned = frame.copy()
    for item in turned.columns.intersection(study.reversed):
        turned[item] = sum(study.scale_of(item)) - turned[item]
    turned.attrs["recoded"] = list(study.reversed)
    return turned


def refuse_recoded(frame: pd.DataFrame) -> None:
    """Refuse responses whose reverse items were turned before."""
    if frame.attrs.get("recoded") is not None:
        raise DataError(
            _(
                "data= was recoded before: a second time would turn the reverse items back. Give the raw responses (cxlib.reading.read)."
            )
        )


def _rules(frame: pd.DataFrame, study: Study, items: list[str]) -> dict[str, pd.Series]:
    """Which rows each declared rule hits, in the order of the flow."""
    rules, hits = study.screening, {}
    empty = frame[items].isna().all(axis=1)
    if empty.any():
        hits["empty"] = empty
    ids = _id_column(study)
    repeated = pd.Series(False, index=frame.index)
    if ids:
        repeated |= frame[ids].notna() & frame[ids].duplicated()
    if rules.duplicates:
        part = frame[list(rules.duplicates)]
        repeated |= part.notna().all(axis=1) & part.duplicated()
    if rules.duplicates or repeated.any():
        hits["duplicates"] = repeated
    if rules.attention:
        hits["attention"] = _failed(frame, study) > 0
    if rules.duration:
        seconds = frame[rules.duration]
        hits["speed"] = seconds < (
            seconds.median() / 3 if rules.min_duration is None else rules.min_duration
        )
    if rules.order:
        hits["straightlining"] = longstring(frame[list(rules.order)]) >= max(
            SHORTEST_RUN, len(rules.order) / 2
        )
    if rules.contradictions:
        hits["contradictions"] = pd.concat(
            [where(frame, c) for c in rules.contradictions.values()], axis=1
        ).any(axis=1)
    return hits


def _id_column(study: Study) -> str:
    """The column that names the respondent: the first id that is not the cluster's."""
    return next(
        (name for name, c in study.columns.items() if c.kind == "id" and name != study.cluster), ""
    )


def _failed(frame: pd.DataFrame, study: Study) -> pd.Series:
    """How many attention checks were answered otherwise than asked; an unanswered one is not failed."""
    checks = study.screening.attention
    given = frame[list(checks)].apply(pd.to_numeric)
    return (given.notna() & (given != pd.Series(checks))).sum(axis=1).astype(float)


def _asked_only(
    frame: pd.DataFrame, study: Study
) -> tuple[pd.DataFrame, dict[str, int], dict[str, int]]:
    """Answers to questions that were not to be asked become missing, and are counted; so are those asked of a construct."""
    frame = frame.copy()
    strays: dict[str, int] = {}
    counted: dict[str, int] = {}
    asked = {name: (column.only_if, [name]) for name, column in study.columns.items()}
    asked |= {
        code: (construct.only_if, list(construct.items))
        for code, construct in study.constructs.items()
    }
    for name, (condition, questions) in asked.items():
        if not condition:
            continue
        applies = where(frame, condition)
        for question in frame.columns.intersection(questions):
            stray = ~applies & frame[question].notna()
            strays |= {question: int(stray.sum())} if stray.any() else {}
            frame[question] = frame[question].mask(stray)
        if name in study.constructs:
            counted[name] = int(applies.sum())
    return frame, strays, counted


def _indices(
    frame: pd.DataFrame, study: Study, items: list[str], kept: pd.Series
) -> dict[str, pd.Series]:
    """The indices of careless answering of every row received."""
    rules, table = study.screening, {}
    if rules.duration:
        table["duration"] = frame[rules.duration]
    if rules.attention:
        table["attention"] = _failed(frame, study)
    if rules.order:
        table["longstring"] = longstring(frame[list(rules.order)])
    unit = pd.DataFrame(
        {i: (frame[i] - study.scale_of(i)[0]) / np.ptp(study.scale_of(i)) for i in items}
    )
    base = unit[kept]
    asked_all = base.columns[(base.notna().mean() > 0.5) & (base.min() < base.max())]
    turned = unit.assign(**{i: 1 - unit[i] for i in study.reversed if i in unit})
    table |= {
        "missing": frame[items].isna().mean(axis=1),
        "irv": irv(unit),
        "even_odd": even_odd(turned, study.scales),
    }
    return table | {str(k): v for k, v in mahalanobis(unit[asked_all], base[asked_all]).items()}
