"""From raw responses to the analysis frame, with every row that leaves counted and every rule declared.

Only rules that the study file declares remove a row (duplicates, attention checks, duration, straight-lining in the
administered order, contradictions); the other indices of :mod:`cxlib.statistics.careless` are shown and remove nobody.  Reverse
items are recoded once, by the declared range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import DataError
from cxlib.core.result import Result, Text
from cxlib.core.words import _, listed, plural
from cxlib.responses.reading import Reading, check_items
from cxlib.stages import missing
from cxlib.statistics.careless import even_odd, irv, longstring, mahalanobis
from cxlib.study.conditions import where
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Cleaned",
    "against_key",
    "clean",
    "even_odd",
    "irv",
    "longstring",
    "mahalanobis",
    "plot_flow",
    "recode",
]
STEPS: dict[str, Text] = {
    "received": {"en": "received", "zh": "回收"},
    "empty": {"en": "no question answered", "zh": "未答任何题"},
    "duplicates": {"en": "answered more than once", "zh": "重复作答"},
    "attention": {"en": "failed an attention check", "zh": "注意力检测未通过"},
    "speed": {"en": "too fast", "zh": "作答过快"},
    "straightlining": {"en": "straight-lining", "zh": "连续同一选项"},
    "contradictions": {"en": "contradictory answers", "zh": "答案自相矛盾"},
}
"""The steps of the cleaning flow, in the order in which they are applied."""
CAUGHT_BY = {
    "duplicate": "duplicates",
    "attention": "attention",
    "speeder": "speed",
    "straight_liner": "straightlining",
    "contradictory": "contradictions",
    "reversed_dates": "contradictions",
}
"""Kinds of planted rows that a rule is there to find; the other kinds spoil single answers."""
NOT_COMPUTED = {
    "mahalanobis": {
        "en": "fewer rows than items, or items that determine each other",
        "zh": "行数少于题项数，或题项间完全相关",
    },
    "even_odd": {
        "en": "fewer than three scales answered, or the same mean in all of them",
        "zh": "可用量表不足三个，或各量表均值全相同",
    },
    "irv": {"en": "fewer than two answers", "zh": "回答少于两题"},
}
"""Why an index of careless answering may be missing."""
AGAINST = {
    True: (
        "after recoding: the file may hold it already recoded; if so, take 'reverse: true' out.",
        "，而它已反向计分：数据可能事先已转换，如是，请删去 reverse: true。",
    ),
    False: (
        "as it stands: if it is worded the other way round, declare 'reverse: true'.",
        "：若为反向措辞，请声明 reverse: true。",
    ),
}
"""What to do about an item that runs against its construct, by whether it was turned round."""
SHORTEST_RUN = 10
"""No run of equal answers shorter than this removes a row, however short the questionnaire."""


@dataclass(frozen=True)
class Cleaned:
    """The analysis frame and how it came about.

    data : kept rows; reverse items recoded, item codes unchanged; the column `respondent` is the respondent's id (the
        row of the file where the study declares none)
    flow : Result with step, removed, remaining
    screening : Result with respondent, kept, reasons and one column an index, for every row received
    missing : Result with item, construct, n, missing, share, for the rows kept
    recoded : the reverse items, now pointing the way of their construct
    """

    data: pd.DataFrame
    flow: Result
    screening: Result
    missing: Result
    recoded: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[Text, ...]:
        """What all steps had to say."""
        return (*self.flow.warnings, *self.screening.warnings, *self.missing.warnings)


def clean(raw: Reading | pd.DataFrame, study: Study) -> Cleaned:
    """Screen the responses by the rules the study declares, and recode its reverse items.

    Parameters
    ----------
    raw : Reading or DataFrame
        What :func:`cxlib.responses.reading.read` returned: typed, not yet recoded.

    Returns
    -------
    Cleaned

    Raises
    ------
    DataError
        The responses were recoded before; a condition of the study cannot be evaluated; no row is left.

    Notes
    -----
    Rules, each only where declared: `duplicates` — the same values in all these columns as an earlier row; `attention`
    — an answer other than the asked one (Meade & Craig 2012, doi:10.1037/a0028085); `duration` — below `min_duration`,
    by default a third of the median (Huang et al. 2012, doi:10.1007/s10869-011-9231-8, for response time as an
    index); `order` — the same option for at least half of the questions in a row, and at least 10 (Curran 2016,
    doi:10.1016/j.jesp.2015.07.006); `contradictions` — conditions no honest row meets.
    """
    frame = raw.frame if isinstance(raw, Reading) else raw
    notes = raw.notes if isinstance(raw, Reading) else ()
    _refuse_recoded(frame)
    items = [item for item in study.items if item in frame]
    hits = _rules(frame, study, items)
    kept = pd.Series(True, index=frame.index)
    reasons = pd.Series([[] for _ in range(len(frame))], index=frame.index)
    steps = [("received", 0, len(frame))]
    for step, hit in hits.items():
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
    data, unasked = _asked_only(frame[kept], study)
    data = recode(data, study)
    data.insert(0, "respondent", respondent[kept])
    data = data.reset_index(drop=True)
    flow = _flow(
        steps, notes + unasked + check_items(data, study) + _against_their_scale(data, study)
    )
    screening = _screening(frame, study, items, respondent, kept, reasons)
    return Cleaned(data, flow, screening, missing.by_item(data, study), tuple(study.reversed))


def recode(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Turn the reverse items round by their **declared** range: lowest + highest − answer.

    Raises
    ------
    DataError
        The frame was recoded before: a second time would undo the first.
    """
    _refuse_recoded(frame)
    turned = frame.copy()
    for item in turned.columns.intersection(study.reversed):
        turned[item] = sum(study.scale_of(item)) - turned[item]
    turned.attrs["recoded"] = list(study.reversed)
    return turned


def against_key(screening: Result | pd.DataFrame, key: pd.DataFrame | None) -> Result:
    """How well the screening found planted bad rows.

    Parameters
    ----------
    screening : Result or DataFrame
        ``Cleaned.screening``.
    key : DataFrame or None
        One planted row a line: respondent id (first column) and `kind`; None where the study has no key.

    Returns
    -------
    Result
        kind, rule, n, hits, measure, rate, low, high (95 %, Wilson).  A kind that a rule is there to find: the share of
        its rows that this rule hit (sensitivity).  A kind that only spoils single answers, which reading mends or sets
        to missing: the share of its rows kept (kept).  Kind "none": the share of the rows without a planted fault that
        each rule, and all rules together (rule "any"), passed over (specificity).
    """
    table = screening.table if isinstance(screening, Result) else screening
    columns = ["kind", "rule", "n", "hits", "measure", "rate", "low", "high"]
    if key is None:
        text = {
            "en": "The study has no key of planted rows, as real studies have none: what the rules missed cannot be known.",
            "zh": "本研究没有预设问题记录的答案（真实研究都没有）：规则漏掉了什么无从得知。",
        }
        return Result(pd.DataFrame(columns=columns), text, len(table))
    met = table["reasons"].str.split("; ").groupby(table["respondent"].astype(str))
    reasons = met.agg(lambda lists: set().union(*lists) - {""})
    planted = key["kind"].groupby(key.iloc[:, 0].astype(str)).agg(set)
    strangers = planted.index.difference(reasons.index)
    if len(strangers):
        raise DataError(
            _(
                "key= names respondents that are not in the responses: {names}. Key and responses must come from the same simulation.",
                names=listed(strangers, 5),
            )
        )
    rows = []
    for kind in sorted(set(key["kind"])):
        found = reasons[planted.index[[kind in kinds for kinds in planted]]]
        rule = CAUGHT_BY.get(kind, "")
        hits = sum(rule in met if rule else not met for met in found)
        rows.append(
            (
                kind,
                rule,
                len(found),
                hits,
                "sensitivity" if rule else "kept",
                *_share(hits, len(found)),
            )
        )
    honest = reasons[~reasons.index.isin(planted.index)]
    for rule in [*dict.fromkeys(CAUGHT_BY.values()), "any"]:
        passed = sum(not met if rule == "any" else rule not in met for met in honest)
        rows.append(
            ("none", rule, len(honest), passed, "specificity", *_share(passed, len(honest)))
        )
    result = pd.DataFrame(rows, columns=columns)
    total = (
        result.groupby("measure")[["hits", "n"]]
        .sum()
        .reindex(["sensitivity", "kept"], fill_value=0)
    )
    (found, faults), (held, spoilt) = total.to_numpy()
    text = {
        "en": f"The rules found {found} of {faults} rows planted for them, kept {held} of {spoilt} rows with single spoilt answers, and kept "
        f"{passed:,} of {len(honest):,} honest rows.",
        "zh": f"规则找出了 {faults} 条应剔除的预设记录中的 {found} 条，保留了 {spoilt} 条仅个别答案有误的记录中的 {held} 条，以及 {len(honest):,} 条正常记录中的 "
        f"{passed:,} 条。",
    }
    return Result(result, text, len(table), "sensitivity and specificity")


def _refuse_recoded(frame: pd.DataFrame) -> None:
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


def _asked_only(frame: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, tuple[Text, ...]]:
    """Answers to questions that were not to be asked become missing, and are counted; so are those asked of a construct."""
    frame, notes, strays = frame.copy(), [], {}
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
            notes.append(
                {
                    "en": f"{name} was asked of {int(applies.sum()):,} of {len(frame):,} respondents ({condition}): whatever uses it "
                    "rests on them, and what the others did not answer is not a refusal.",
                    "zh": f"{name} 只询问了 {len(frame):,} 名受访者中的 {int(applies.sum()):,} 名（{condition}）：凡用到它的分析都以这些人为准，其余人的空缺并非拒答。",
                }
            )
    if strays:
        listed = ", ".join(f"{name} ({n})" for name, n in strays.items())
        notes.insert(
            0,
            {
                "en": f"Answers to questions that did not apply became missing: {listed}.",
                "zh": f"不适用题目上的回答已设为缺失：{listed}。",
            },
        )
    return frame, tuple(notes)


def _against_their_scale(data: pd.DataFrame, study: Study) -> tuple[Text, ...]:
    """Items that run against the rest of their construct: recoded twice, or never."""
    found = []
    for construct, items in study.scales.items():
        r = data[items].corr().to_numpy()
        if len(items) < 3 or np.isnan(r).any():
            continue
        direction = np.linalg.eigh(r)[1][:, -1]
        along = direction * np.sign(np.sign(direction).sum()) > 0
        agreed, against = data[items].loc[:, along].mean(axis=1), np.array(items)[~along]
        for item in (item for item in against if data[item].corr(agreed) < 0):
            en, zh = AGAINST[item in study.reversed]
            found.append(
                {
                    "en": f"Item {item} runs against the rest of {construct} {en}",
                    "zh": f"题项 {item} 与 {construct} 其余题项方向相反{zh}",
                }
            )
    return tuple(found)


def _flow(steps: list[tuple[str, int, int]], notes: tuple[Text, ...]) -> Result:
    table = pd.DataFrame(steps, columns=["step", "removed", "remaining"])
    received, kept = steps[0][2], steps[-1][2]
    text = {
        "en": f"The study declares no screening rule: all {received:,} rows received are analysed.",
        "zh": f"研究文件未声明筛查规则：回收的 {received:,} 行全部进入分析。",
    }
    if len(steps) > 1:
        why = {
            language: [f"{STEPS[s][language]} {n}" for s, n, _ in steps[1:] if n]
            for language in text
        }
        text = {
            "en": f"Of {received:,} rows received, {received - kept:,} were removed ({', '.join(why['en']) or 'none met a rule'}); {kept:,} "
            f"({100 * kept / received:.1f} %) are analysed.",
            "zh": f"回收 {received:,} 行，剔除 {received - kept:,} 行（{'、'.join(why['zh']) or '无'}），保留 {kept:,} 行（{100 * kept / received:.1f}%）。",
        }
    return Result(table, text, kept, "declared screening rules, in order", notes)


def _screening(
    frame: pd.DataFrame,
    study: Study,
    items: list[str],
    respondent: pd.Series,
    kept: pd.Series,
    reasons: pd.Series,
) -> Result:
    """The indices of every row received; only the declared ones removed somebody."""
    rules, warnings = study.screening, []
    table = {"respondent": respondent, "kept": kept, "reasons": reasons.map("; ".join)}
    if rules.duration:
        table["duration"] = frame[rules.duration]
    if rules.attention:
        table["attention"] = _failed(frame, study)
    if rules.order:
        table["longstring"] = longstring(frame[list(rules.order)])
    share = frame[items].isna().mean(axis=1)
    unit = pd.DataFrame(
        {i: (frame[i] - study.scale_of(i)[0]) / np.ptp(study.scale_of(i)) for i in items}
    )
    base = unit[kept]
    asked_all = base.columns[(base.notna().mean() > 0.5) & (base.min() < base.max())]
    turned = unit.assign(**{i: 1 - unit[i] for i in study.reversed if i in unit})
    table |= {"missing": share, "irv": irv(unit), "even_odd": even_odd(turned, study.scales)}
    table |= dict(mahalanobis(unit[asked_all], base[asked_all]).items())
    result = pd.DataFrame(table).reset_index(drop=True)
    for name, why in NOT_COMPUTED.items():
        if gone := int(result[name].isna().sum()):
            warnings.append(
                {
                    "en": f"{name} could not be computed for {plural(gone, 'row')}: {why['en']}.",
                    "zh": f"{gone} 行无法计算 {name}：{why['zh']}。",
                }
            )
    far = int((result.loc[result["kept"], "mahalanobis_p"] < 0.001).sum())
    text = {
        "en": f"{plural(far, 'kept row lies', 'kept rows lie')} far from the others (Mahalanobis p < .001). This is shown and removes nobody: "
        "an unusual customer is not a careless one.",
        "zh": f"保留的行中有 {far} 行离群（马氏距离 p < .001）。仅作提示，不剔除：与众不同不等于不认真。",
    }
    return Result(result, text, len(frame), "careless-response indices", tuple(warnings))


def _share(hits: int, n: int) -> tuple[float, float, float]:
    """A share with its 95 % Wilson interval."""
    from scipy.stats import binomtest

    if not n:
        return np.nan, np.nan, np.nan
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return hits / n, interval.low, interval.high


@theme.picture
def plot_flow(
    flow: pd.DataFrame | Result, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """The way from the rows received to the rows analysed, one box a step."""
    from matplotlib import pyplot

    table = flow.table if isinstance(flow, Result) else flow
    received, steps, kept = (
        int(table["remaining"].iloc[0]),
        table.iloc[1:],
        int(table["remaining"].iloc[-1]),
    )
    left = {"en": "analysed", "zh": "进入分析"}[language]
    figure, axes = pyplot.subplots(figsize=(6.5, 1.6 + 0.75 * len(steps)))
    bottom = -(len(steps) + 1)
    box = {"boxstyle": "round,pad=0.5", "linewidth": 1.2, "facecolor": "white"}
    axes.annotate(
        "", (0, bottom + 0.32), (0, -0.32), arrowprops={"arrowstyle": "-|>", "color": theme.MUTED}
    )
    for y, text in (
        (0, f"{STEPS['received'][language]}  n = {received:,}"),
        (bottom, f"{left}  n = {kept:,}"),
    ):
        axes.text(
            0,
            y,
            text,
            ha="center",
            va="center",
            weight="bold",
            bbox={**box, "edgecolor": theme.ROLES["service"]},
        )
    for y, row in enumerate(steps.itertuples(), 1):
        axes.annotate(
            "", (0.55, -y), (0, -y), arrowprops={"arrowstyle": "-|>", "color": theme.MUTED}
        )
        colour, edge = theme.INK if row.removed else theme.MUTED, {**box, "edgecolor": theme.GRID}
        axes.text(
            0.6,
            -y,
            f"{STEPS[row.step][language]}  n = {row.removed:,}",
            ha="left",
            va="center",
            color=colour,
            bbox=edge,
        )
    axes.set(xlim=(-1, 2.2), ylim=(bottom - 0.6, 0.6))
    axes.axis("off")
    gone = received - kept
    return figure, {
        "en": f"From {received:,} rows received to {kept:,} analysed: {plural(gone, 'row')} removed"
        + (
            " (to the right, each counted at the first rule it met)."
            if gone
            else "; no declared rule took one out."
        ),
        "zh": f"从回收 {received:,} 行到分析 {kept:,} 行：剔除 {gone:,} 行"
        + ("（右侧；每行只计入最先触发的规则）。" if gone else "。"),
    }
