"""From raw responses to the analysis frame, with every row that leaves counted and every rule declared.

Only rules that the study file declares remove a row (duplicates, attention checks, duration, straight-lining in the
administered order, contradictions); the other careless-response indices are shown and remove nobody.  Reverse items
are recoded once, by the declared range.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import missing, show
from cxlib.reading import DataError, Reading
from cxlib.show import Result, Text
from cxlib.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
SHORTEST_RUN = 10
COMPARE: dict[type, Callable] = {ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
                                 ast.Gt: operator.gt, ast.GtE: operator.ge}


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
        What :func:`cxlib.reading.read` returned: typed, not yet recoded.

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
        raise DataError(f"No row is left after screening ({', '.join(f'{s}: {r}' for s, r, _ in steps[1:])}). Check screening: in "
                        "the study file, above all attention: and min_duration:.")
    respondent = _respondent(frame, study)
    data, blanked = _not_applicable(frame[kept], study)
    data = recode(data, study)
    data.insert(0, "respondent", respondent[kept])
    data = data.reset_index(drop=True)
    data.attrs["recoded"] = list(study.reversed)
    flow = _flow(steps, notes + blanked + _against_their_scale(data, study))
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
    for item in study.reversed:
        if item in turned:
            turned[item] = sum(study.scale_of(item)) - turned[item]
    turned.attrs["recoded"] = list(study.reversed)
    return turned


def where(frame: pd.DataFrame, condition: str) -> pd.Series:
    """Rows that meet a condition such as "fb_given == 0 and reply_h > 0"; a missing value never meets a comparison.

    Allowed: column names, numbers, quoted texts, == != < <= > >=, and, or, not, + −.

    Raises
    ------
    DataError
        Anything else, or a column that is not there.
    """

    def value(node: ast.AST) -> pd.Series | float | str | bool:
        match node:
            case ast.Name(id=name) if name in frame:
                return frame[name]
            case ast.Constant(value=constant) if isinstance(constant, int | float | str):
                return constant
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return ~truth(inner)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                return value(left) + value(right) if isinstance(op, ast.Add) else value(left) - value(right)
            case ast.BoolOp(op=op, values=parts):
                every = [truth(part) for part in parts]
                return pd.concat(every, axis=1).all(axis=1) if isinstance(op, ast.And) else pd.concat(every, axis=1).any(axis=1)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
                one, other = value(left), value(right)
                if isinstance(one, pd.Series) and one.dtype.kind not in "fibM" and isinstance(other, int | float):
                    other = f"{other:g}"  # the codes of a category are texts
                answered = pd.Series(True, index=frame.index)
                for side in (one, other):
                    if isinstance(side, pd.Series):
                        answered &= side.notna()
                return COMPARE[type(op)](one, other) & answered
            case ast.Name(id=name):
                raise DataError(f"Condition '{condition}': there is no column '{name}'.")
        raise DataError(f"Condition '{condition}' cannot be read. Allowed: columns, numbers, quoted texts, == != < <= > >=, "
                        "and, or, not; write 'low <= x and x <= high' for a range.")

    def truth(node: ast.AST) -> pd.Series:
        result = value(node)
        return result.fillna(0).astype(bool) if isinstance(result, pd.Series) else pd.Series(bool(result), index=frame.index)

    try:
        parsed = ast.parse(condition.strip(), mode="eval").body
    except SyntaxError:
        raise DataError(f"Condition '{condition}' cannot be read. Write for example \"fb_given == 0 and reply_h > 0\".") from None
    return truth(parsed)


def longstring(frame: pd.DataFrame) -> pd.Series:
    """Longest run of one and the same answer in a row; columns in the administered order, unanswered ones passed over.

    Notes
    -----
    Johnson (2005), doi:10.1016/j.jrp.2004.09.009.  R: ``careless::longstring(x)`` (complete rows).
    """

    def longest(row: np.ndarray) -> int:
        row = row[~np.isnan(row)]
        if not len(row):
            return 0
        edges = np.flatnonzero(np.diff(row) != 0)
        return int(np.diff(np.concatenate([[-1], edges, [len(row) - 1]])).max())

    return pd.Series([longest(row) for row in frame.to_numpy(float)], index=frame.index, dtype=float)


def irv(frame: pd.DataFrame) -> pd.Series:
    """Intra-individual response variability: standard deviation (n − 1) of a row's raw answers.

    Notes
    -----
    Dunn et al. (2018), doi:10.1007/s10869-016-9479-0.  R: ``careless::irv(x)``.
    """
    return frame.std(axis=1, ddof=1)


def even_odd(frame: pd.DataFrame, scales: Mapping[str, list[str]]) -> pd.Series:
    """Even-odd consistency: each person's correlation, over the scales, of the means of odd and even items.

    Stepped up by Spearman–Brown, 2r / (1 + r), and never below −1.  Needs three scales of two items; items recoded.

    Notes
    -----
    Johnson (2005), doi:10.1016/j.jrp.2004.09.009.  R: ``careless::evenodd(x, factors)`` (with its sign turned).
    """
    usable = [items for items in scales.values() if len(items) > 1]
    if len(usable) < 3:
        return pd.Series(np.nan, index=frame.index)
    halves = [pd.concat([frame[items[start::2]].mean(axis=1) for items in usable], axis=1).to_numpy() for start in (0, 1)]
    both = ~np.isnan(halves[0] + halves[1])
    odd, even = (np.ma.masked_array(half, ~both) for half in halves)
    odd, even = odd - odd.mean(axis=1)[:, None], even - even.mean(axis=1)[:, None]
    scale = np.ma.sqrt((odd**2).sum(axis=1) * (even**2).sum(axis=1))
    r = np.ma.masked_where((scale < 1e-12) | (both.sum(axis=1) < 3), (odd * even).sum(axis=1)) / np.ma.masked_less(scale, 1e-12)
    r = np.ma.filled(r, np.nan).clip(-1, 1)
    return pd.Series(np.maximum(2 * r / np.maximum(1 + r, 1e-12), -1), index=frame.index)


def mahalanobis(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """Squared Mahalanobis distance of each row over the items it answered, with its χ² probability.

    Mean and covariance (divisor n − 1; by EM if answers are missing) come from `reference`, by default the frame itself.

    Returns
    -------
    DataFrame
        mahalanobis, mahalanobis_p; missing where the covariance matrix is singular.

    Notes
    -----
    R: ``psych::outlier(x)`` for complete rows.
    """
    from scipy.stats import chi2

    base = (frame if reference is None else reference).dropna(how="all")
    distance, answered = np.full(len(frame), np.nan), frame.notna().to_numpy()
    if len(base) > frame.shape[1]:
        mean, covariance = missing.moments(base)
        covariance = covariance * len(base) / (len(base) - 1)
        if np.linalg.matrix_rank(covariance, hermitian=True) == len(covariance):
            for rows, seen in missing.pattern_rows(answered):
                if seen.any():
                    off = frame.to_numpy(float)[np.ix_(rows, seen)] - mean[seen]
                    distance[rows] = (off * np.linalg.solve(covariance[np.ix_(seen, seen)], off.T).T).sum(axis=1)
    p = np.where(np.isnan(distance), np.nan, chi2.sf(distance, np.maximum(answered.sum(axis=1), 1)))
    return pd.DataFrame({"mahalanobis": distance, "mahalanobis_p": p}, index=frame.index)


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
        kind, n, removed, rate, low, high, measure — the share removed of each planted kind (sensitivity), the share
        kept of the rows that were not planted (specificity), with Wilson intervals.
    """
    table = screening.table if isinstance(screening, Result) else screening
    if key is None:
        return Result(pd.DataFrame(columns=["kind", "n", "removed", "rate", "low", "high", "measure"]), {
            "en": "The study has no key of planted rows, as real studies have none: what the rules missed cannot be known.",
            "zh": "本研究没有预设问题记录的答案(真实研究都没有):规则漏掉了什么无从得知。"}, len(table))
    removed = (~table["kept"]).groupby(table["respondent"].astype(str)).any()
    planted = key.assign(respondent=key.iloc[:, 0].astype(str))
    rows = []
    for kind, part in planted.groupby("kind", sort=True):
        hit = removed.reindex(part["respondent"].unique()).dropna().astype(bool)
        rows.append((kind, len(hit), int(hit.sum()), *_share(int(hit.sum()), len(hit)), "sensitivity"))
    honest = removed[~removed.index.isin(planted["respondent"])]
    rows.append(("none", len(honest), int(honest.sum()), *_share(int((~honest).sum()), len(honest)), "specificity"))
    result = pd.DataFrame(rows, columns=["kind", "n", "removed", "rate", "low", "high", "measure"])
    bad, good = result[result["measure"] == "sensitivity"], result.iloc[-1]
    found, n = int(bad["removed"].sum()), int(bad["n"].sum())
    missed = bad.loc[bad["rate"] < 0.5, "kind"].tolist()
    return Result(result, {
        "en": f"Screening removed {found} of {n} planted rows and kept {show.number(good['rate'] * 100, 1)} % of the honest ones."
              + (f" Mostly missed or harmless: {', '.join(missed)}." if missed else ""),
        "zh": f"筛查剔除了 {n} 条预设问题记录中的 {found} 条,并保留了 {show.number(good['rate'] * 100, 1)}% 的正常记录。"
              + (f"多数未剔除(或无需剔除)的类型:{'、'.join(missed)}。" if missed else "")}, len(removed), "sensitivity and specificity")


def _refuse_recoded(frame: pd.DataFrame) -> None:
    if frame.attrs.get("recoded") is not None:
        raise DataError("data= was recoded before: a second time would turn the reverse items back. Give the raw responses "
                        "(cxlib.reading.read).")


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
        hits["speed"] = frame[rules.duration] < _shortest(frame, study)
    if rules.order:
        hits["straightlining"] = longstring(frame[list(rules.order)]) >= _longest_run(study)
    if rules.contradictions:
        hits["contradictions"] = pd.concat([where(frame, c) for c in rules.contradictions.values()], axis=1).any(axis=1)
    return hits


def _id_column(study: Study) -> str:
    """The column that names the respondent: the first id that is not the cluster's."""
    return next((name for name, c in study.columns.items() if c.kind == "id" and name != study.cluster), "")


def _respondent(frame: pd.DataFrame, study: Study) -> pd.Series:
    ids = _id_column(study)
    return frame[ids].where(frame[ids].notna(), frame.index.astype(str)) if ids else frame.index.to_series()


def _failed(frame: pd.DataFrame, study: Study) -> pd.Series:
    """How many attention checks were answered otherwise than asked; an unanswered one is not failed."""
    checks = study.screening.attention
    return sum((pd.to_numeric(frame[q]).notna() & (pd.to_numeric(frame[q]) != asked)).astype(float) for q, asked in checks.items())


def _shortest(frame: pd.DataFrame, study: Study) -> float:
    limit = study.screening.min_duration
    return float(frame[study.screening.duration].median() / 3) if limit is None else limit


def _longest_run(study: Study) -> int:
    return max(SHORTEST_RUN, -(-len(study.screening.order) // 2))


def _not_applicable(frame: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, tuple[Text, ...]]:
    """Answers to questions that were not to be asked become missing, and are counted."""
    frame, counts = frame.copy(), {}
    for name, column in study.columns.items():
        if column.only_if and name in frame:
            stray = ~where(frame, column.only_if) & frame[name].notna()
            if stray.any():
                counts[name] = int(stray.sum())
                frame[name] = frame[name].mask(stray)
    if not counts:
        return frame, ()
    listed = ", ".join(f"{name} ({n})" for name, n in counts.items())
    return frame, ({"en": f"Answers to questions that did not apply became missing: {listed}.",
                    "zh": f"不适用题目上的回答已设为缺失:{listed}。"},)


def _against_their_scale(data: pd.DataFrame, study: Study) -> tuple[Text, ...]:
    """Items that run against the rest of their construct: recoded twice, or never."""
    found = []
    for construct, items in study.scales.items():
        for item in items:
            rest = data[[i for i in items if i != item]].mean(axis=1)
            if len(items) < 3 or data[item].std() == 0 or rest.std() == 0 or data[item].corr(rest) >= 0:
                continue
            turned = item in study.reversed
            found.append({
                "en": f"Item {item} runs against the rest of {construct} " + ("after recoding: the file may hold it already recoded; "
                      "if so, take 'reverse: true' out." if turned else "as it stands: if it is worded the other way round, "
                      "declare 'reverse: true'."),
                "zh": f"题项 {item} 与 {construct} 其余题项方向相反" + (",而它已反向计分:数据可能事先已转换,如是,请删去 reverse: true。"
                      if turned else ":若为反向措辞,请声明 reverse: true。")})
    return tuple(found)


def _flow(steps: list[tuple[str, int, int]], notes: tuple[Text, ...]) -> Result:
    table = pd.DataFrame(steps, columns=["step", "removed", "remaining"])
    received, kept = steps[0][2], steps[-1][2]
    if len(steps) == 1:
        text = {"en": f"The study declares no screening rule: all {received:,} rows received are analysed.",
                "zh": f"研究文件未声明筛查规则:回收的 {received:,} 行全部进入分析。"}
    else:
        part = [(STEPS[s], n) for s, n, _ in steps[1:] if n]
        text = {"en": f"Of {received:,} rows received, {received - kept:,} were removed ("
                      + (", ".join(f"{w['en']} {n}" for w, n in part) or "none met a rule")
                      + f"); {kept:,} ({100 * kept / received:.1f} %) are analysed.",
                "zh": f"回收 {received:,} 行,剔除 {received - kept:,} 行(" + ("、".join(f"{w['zh']} {n}" for w, n in part) or "无")
                      + f"),保留 {kept:,} 行({100 * kept / received:.1f}%)。"}
    return Result(table, text, kept, "declared screening rules, in order", notes)


def _screening(frame: pd.DataFrame, study: Study, items: list[str], respondent: pd.Series, kept: pd.Series,
               reasons: pd.Series) -> Result:
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
    unit = pd.DataFrame({i: (frame[i] - study.scale_of(i)[0]) / np.ptp(study.scale_of(i)) for i in items})
    asked_all = [i for i in items if frame.loc[kept, i].notna().mean() > 0.5 and frame.loc[kept, i].nunique() > 1]
    turned = unit.assign(**{i: 1 - unit[i] for i in study.reversed if i in unit})
    table |= {"missing": share, "irv": irv(unit), "even_odd": even_odd(turned, study.scales)}
    table |= dict(mahalanobis(unit[asked_all], unit.loc[kept, asked_all]).items())
    result = pd.DataFrame(table).reset_index(drop=True)
    for name, why in (("mahalanobis", ("fewer rows than items, or items that determine each other", "行数少于题项数,或题项间完全相关")),
                      ("even_odd", ("fewer than three scales answered, or the same answer throughout", "可用量表不足三个,或全部同一答案")),
                      ("irv", ("fewer than two answers", "回答少于两题"))):
        gone = int(result[name].isna().sum())
        if gone:
            warnings.append({"en": f"{name} could not be computed for {show.plural(gone, 'row')}: {why[0]}.",
                             "zh": f"{gone} 行无法计算 {name}:{why[1]}。"})
    far = int((result.loc[result["kept"], "mahalanobis_p"] < 0.001).sum())
    text = {"en": f"{show.plural(far, 'kept row')} lie far from the others (Mahalanobis p < .001). They are shown, not removed: "
                  "an unusual customer is not a careless one.",
            "zh": f"保留的行中有 {far} 行离群(马氏距离 p < .001)。仅作提示,不剔除:与众不同不等于不认真。"}
    return Result(result, text, len(frame), "careless-response indices", tuple(warnings))


def _share(hits: int, n: int) -> tuple[float, float, float]:
    """A share with its 95 % Wilson interval."""
    from scipy.stats import binomtest

    if not n:
        return np.nan, np.nan, np.nan
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return hits / n, interval.low, interval.high


@show.picture
def plot_flow(flow: pd.DataFrame | Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """The way from the rows received to the rows analysed, one box a step."""
    from matplotlib import pyplot

    table = flow.table if isinstance(flow, Result) else flow
    received, steps, kept = int(table["remaining"].iloc[0]), table.iloc[1:], int(table["remaining"].iloc[-1])
    left = {"en": "analysed", "zh": "进入分析"}[language]
    figure, axes = pyplot.subplots(figsize=(6.5, 1.6 + 0.75 * len(steps)))
    bottom = -(len(steps) + 1)
    box = {"boxstyle": "round,pad=0.5", "linewidth": 1.2, "facecolor": "white"}
    axes.annotate("", (0, bottom + 0.32), (0, -0.32), arrowprops={"arrowstyle": "-|>", "color": show.MUTED})
    for y, text in ((0, f"{STEPS['received'][language]}  n = {received:,}"), (bottom, f"{left}  n = {kept:,}")):
        axes.text(0, y, text, ha="center", va="center", weight="bold", bbox={**box, "edgecolor": show.ROLES["service"]})
    for y, row in enumerate(steps.itertuples(), 1):
        axes.annotate("", (0.55, -y), (0, -y), arrowprops={"arrowstyle": "-|>", "color": show.MUTED})
        axes.text(0.6, -y, f"{STEPS[row.step][language]}  n = {row.removed:,}", ha="left", va="center",
                  color=show.INK if row.removed else show.MUTED, bbox={**box, "edgecolor": show.GRID})
    axes.set(xlim=(-1, 2.2), ylim=(bottom - 0.6, 0.6))
    axes.axis("off")
    gone = received - kept
    return figure, {
        "en": f"From {received:,} rows received to {kept:,} analysed: {show.plural(gone, 'row')} removed"
              + (" (to the right, each counted at the first rule it met)." if gone else "; no declared rule took one out."),
        "zh": f"从回收 {received:,} 行到分析 {kept:,} 行:剔除 {gone:,} 行" + ("(右侧;每行只计入最先触发的规则)。" if gone else "。")}
