"""What the answers look like before any model: items, respondents, construct scores, correlations, recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import DataError
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, joined, n_, number, p_text
from cxlib.stages.description.composites import correlations, plot_correlations
from cxlib.statistics import distributions
from cxlib.statistics.scores import scores
from cxlib.study.schema import Study, Wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "by_group",
    "correlations",
    "items",
    "multivariate_normality",
    "nps",
    "plot_correlations",
    "plot_likert",
    "profile",
    "response_shares",
    "scores",
]
FEWEST = 10
"""Answers a group needs for its mean to be shown without a warning; a convention."""
LEAST_SPOKEN_OF = 30
"""Groups smaller than this are in the table but not in the sentence."""
CROWDED = 0.40
"""A larger share of answers at the top is called crowded; a convention."""
SKEWED, PEAKED = 2, 7
"""Beyond these a skew and a kurtosis are called odd; a convention (West, Finch and Curran 1995)."""


@makes("items", "item construct n missing mean sd skew kurtosis floor ceiling")
def items(data: pd.DataFrame, study: Study) -> Result:
    """Distribution of every item.

    Returns
    -------
    Result
        item, construct, n, missing, mean, sd, skew, kurtosis, floor, ceiling.  sd has the divisor n − 1; skew is
        m₃/sd³ and kurtosis m₄/sd⁴ − 3 (mₖ: central moments with divisor n); floor and ceiling are the shares of answers
        at the lower and the upper end of the declared range.

    Notes
    -----
    R: ``psych::describe(x)`` (its default type = 3).
    """
    known = [item for item in study.items if item in data]
    table = distributions.items(data[known], {item: study.scale_of(item) for item in known})
    table.insert(1, "construct", table["item"].map(study.items))
    flat = table.loc[table["skew"].isna(), "item"].tolist()
    warnings = (
        (_("No spread in {items}: skew and kurtosis do not exist.", items=flat),) if flat else ()
    )
    best, worst = (table.iloc[int(at)] for at in (table["mean"].argmax(), table["mean"].argmin()))
    text = _(
        "Means run from {low} ({lowest}) to {high} ({highest}); {crowded}; {odd}.",
        low=number(worst["mean"], 2),
        lowest=worst["item"],
        high=number(best["mean"], 2),
        highest=best["item"],
        crowded=_crowded(table.loc[table["ceiling"] > CROWDED, "item"].tolist()),
        odd=_odd(
            int((table["skew"].abs() > SKEWED).sum() + (table["kurtosis"].abs() > PEAKED).sum())
        ),
    )
    method = _("item distributions (skew and kurtosis of type 3)")
    return Result(table, text, len(data), method, warnings)


def _crowded(items: list[str]) -> Sentence:
    if not items:
        return _("no item has more than 40 % of its answers at the top")
    return _("more than 40 % of answers sit at the top of {items}", items=items)


def _odd(values: int) -> Sentence:
    if not values:
        return _("no item passes |skew| 2 or |kurtosis| 7")
    return n_(
        "{n:,} value beyond |skew| 2 or |kurtosis| 7",
        "{n:,} values beyond |skew| 2 or |kurtosis| 7",
        values,
    )


def response_shares(data: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Share of every answer option: item, construct, option (1 = lowest), options, value, share, n."""
    columns = ["item", "construct", "option", "options", "value", "share", "n"]
    parts = [
        distributions.option_shares(data[item], *study.scale_of(item)).assign(
            item=item, construct=code
        )
        for item, code in study.items.items()
        if item in data
    ]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


@makes("profile", "column level n share quota difference p")
def profile(data: pd.DataFrame, study: Study) -> Result:
    """Who answered: every category and flag, against its declared quota.

    Returns
    -------
    Result
        column, level, n, share (of those who answered the column), quota, difference, p.  Quotas are shares of one however
        they were written; difference is the share among the levels that have a quota, minus the quota; p is the χ² test
        of the column against its quotas.  The three are missing where no quota is declared.

    Notes
    -----
    R: ``chisq.test(table(x), p = quota)``.
    """
    names = [
        name
        for name, column in study.columns.items()
        if column.kind in ("category", "flag") and name in data
    ]
    method = _("sample profile")
    table = pd.DataFrame(
        [row for name in names for row in _against_quota(data[name], study, name)],
        columns=["column", "level", "n", "share", "quota", "difference", "p"],
    )
    if table.empty:
        text = _(
            "The study declares no category about its respondents, so there is no profile to compare."
        )
        return Result(table, text, len(data), method, (text,))
    warnings = [
        _("Nobody answered {column}.", column=name) for name in names if data[name].isna().all()
    ]
    return Result(table, _profiled(table, len(data), study), len(data), method, tuple(warnings))


def _against_quota(cells: pd.Series, study: Study, name: str) -> list[tuple[Any, ...]]:
    """The rows of one column: how many gave each level, and what the quota wanted."""
    column, answered = study.columns[name], _levels(cells)
    counts, total = answered.value_counts(), sum(column.quota.values())
    quota = {level: value / total for level, value in column.quota.items()}
    hits = [int(counts.get(level, 0)) for level in quota]
    n, within = len(answered), sum(hits)
    p = distributions.quota_test(hits, list(quota.values()))
    rows = []
    for level in list(column.levels) or sorted(counts.index):
        hit, wanted = int(counts.get(level, 0)), quota.get(level, np.nan)
        off = hit / within - wanted if within else np.nan
        rows.append((name, level, hit, hit / n if n else np.nan, wanted, off, p))
    return rows


def _profiled(table: pd.DataFrame, respondents: int, study: Study) -> Sentence:
    """The largest gap to a quota, and which columns differ from theirs."""
    if table["difference"].isna().all():
        return _(
            "{n:,} respondents, described by {columns}. No quota is declared.",
            n=respondents,
            columns=n_("{n:,} column", "{n:,} columns", table["column"].nunique()),
        )
    off = table.iloc[int(table["difference"].abs().argmax())]
    tests = table.drop_duplicates("column").set_index("column")["p"]
    missed = [
        _("{column} ({p})", column=_column(study, str(name)), p=p_text(p))
        for name, p in tests.items()
        if p < 0.05
    ]
    return _(
        "{n:,} respondents. The largest gap to a quota is {points} points ({column}: {level}). {verdict}",
        n=respondents,
        points=f"{100 * off['difference']:+.1f}".replace("-", "−"),
        column=_column(study, off["column"]),
        level=_level(study, off["column"], off["level"]),
        verdict=_("By a χ² test these differ from their quotas: {columns}.", columns=missed)
        if missed
        else _("By a χ² test no column differs from its quotas."),
    )


@makes("normality", "statistic value test df p n")
def multivariate_normality(frame: pd.DataFrame) -> Result:
    """Mardia's skewness and kurtosis, and the Henze–Zirkler test, on the complete rows.

    With the covariance S (divisor n − 1) and Dᵢⱼ = (xᵢ − x̄)' S⁻¹ (xⱼ − x̄): skewness ΣΣ Dᵢⱼ³ / n² with n·b/6 as χ² on
    p(p+1)(p+2)/6 degrees of freedom, kurtosis Σ Dᵢᵢ² / n with z = (b − p(p+2)) / √(8p(p+2)/n).

    Returns
    -------
    Result
        statistic (mardia_skew, mardia_kurtosis, henze_zirkler), value, test (chisq, z; none), df, p, n.

    Notes
    -----
    Mardia (1970), doi:10.1093/biomet/57.3.519; Henze & Zirkler (1990), doi:10.1080/03610929008830400.
    R: ``psych::mardia(x, plot = FALSE)``; ``MVN::mvn(x, mvn_test = "hz")``.
    """
    found = distributions.multivariate_normality(frame)
    method = _("Mardia and Henze–Zirkler tests")
    if found.untested:
        text = (
            _("Not tested: normality of several items together needs at least two items.")
            if found.untested == "few"
            else _(
                "Not tested: {n} complete rows for {items} items, or items that determine each other, leave no invertible "
                "covariance matrix.",
                n=found.n_used,
                items=found.items,
            )
        )
        return Result(found.table, text, found.n_used, method, (text,))
    warnings: list[Text] = []
    if found.n_used < len(frame):
        warnings.append(
            n_(
                "{n} of {rows:,} rows has missing answers and was left out.",
                "{n} of {rows:,} rows have missing answers and were left out.",
                len(frame) - found.n_used,
                rows=len(frame),
            )
        )
    if found.saturated:
        warnings.append(
            _(
                "With {items} items the Henze–Zirkler statistic is 1 whatever the answers: it says nothing here.",
                items=found.items,
            )
        )
    return Result(found.table, _normal(found), found.n_used, method, tuple(warnings))


def _normal(found: distributions.Normality) -> Sentence:
    """Mardia's kurtosis, and what the tests say together."""
    kurtosis = found.table[found.table["statistic"] == "mardia_kurtosis"].iloc[0]
    # where the Henze–Zirkler statistic is 1 whatever the data, it says nothing
    normal = bool((found.table["p"].iloc[: 2 if found.saturated else 3] >= 0.05).all())
    return _(
        "Mardia's kurtosis is {kurtosis:.1f} where normal data give {expected} (z = {z}, {p}): {verdict}.",
        kurtosis=kurtosis["value"],
        expected=found.items * (found.items + 2),
        z=number(kurtosis["test"], 2),
        p=p_text(kurtosis["p"]),
        verdict=_("the tests do not speak against multivariate normality")
        if normal
        else _(
            "the answers are not multivariate normal; use robust standard errors and test statistics"
        ),
    )


@makes("nps", "n promoters passives detractors nps se ci_low ci_high")
def nps(answers: pd.Series | None) -> Result:
    """Net promoter score: the share of answers 9–10 minus the share of 0–6, in points, with a 95 % interval.

    Standard error from the multinomial: √((p + d − (p − d)²) / n).

    Parameters
    ----------
    answers : Series or None
        Likelihood to recommend, 0–10; None (a study that did not ask) gives an empty result that says so.

    Returns
    -------
    Result
        n, promoters, passives, detractors (shares), nps, se, ci_low, ci_high (points).

    Raises
    ------
    DataError
        Answers outside 0–10.

    Notes
    -----
    Rocks (2016), doi:10.1080/00031305.2016.1158124, on the interval.
    """
    x = pd.Series(dtype=float) if answers is None else answers.dropna().astype(float)
    if x.empty:
        text = _("Likelihood to recommend (0–10) was not asked, so there is no net promoter score.")
        empty = pd.DataFrame(columns=distributions.PROMOTERS, dtype=float)
        return Result(empty, text, 0, _("net promoter score"), (text,))
    if not x.between(0, 10).all():
        raise DataError(
            _(
                "answers= holds {values}: the net promoter score needs the 0–10 question.",
                values=sorted(set(x[~x.between(0, 10)]))[:5],
            )
        )
    table = distributions.net_promoters(x)
    row = table.iloc[0]
    text = _(
        "Net promoter score {nps} [{low}, {high}]: {up:.1f} % promoters minus {down:.1f} % detractors, n = {n:,}.",
        nps=number(row["nps"], 1),
        low=number(row["ci_low"], 1),
        high=number(row["ci_high"], 1),
        up=100 * row["promoters"],
        down=100 * row["detractors"],
        n=len(x),
    )
    return Result(table, text, len(x), _("net promoter score, multinomial interval"))


@makes("by_group", "grouping level construct n mean sd ci_low ci_high")
def by_group(data: pd.DataFrame, study: Study, constructs: list[str] | None = None) -> Result:
    """Mean score of the satisfaction constructs in every declared group, with a 95 % t interval.

    Returns
    -------
    Result
        grouping, level, construct, n, mean, sd, ci_low, ci_high; the first rows (grouping "all") are everybody.
    """
    frame = scores(data, study.scales, study.parts)
    codes = list(map(str, frame))
    chosen = constructs or [c for c in codes if study.role(c) == "satisfaction"] or codes
    table = pd.DataFrame(
        [
            (grouping, level, code, *distributions.t_interval(frame.loc[index, code]))
            for grouping, level, index in _groups(data, study)
            for code in chosen
        ],
        columns=["grouping", "level", "construct", "n", "mean", "sd", "ci_low", "ci_high"],
    )
    warnings = _small_groups(table)
    if set(table["grouping"]) <= {"all"}:
        text = _("The study declares no groups, so only the whole sample is shown.")
        return Result(table, text, len(data), _("group means"), (text, *warnings))
    method = _("group means with t intervals")
    return Result(table, _widest(table, study, chosen[0]), len(data), method, warnings)


def _groups(data: pd.DataFrame, study: Study) -> list[tuple[str, str, pd.Index]]:
    """Everybody, and every level of every grouping, with its rows."""
    parts: list[tuple[str, str, pd.Index]] = [("all", "all", data.index)]
    for name in study.groups:
        if name in data:
            column = _levels(data[name])
            levels = list(study.columns[name].levels) or sorted(column.unique())
            parts += [(name, level, column.index[column == level]) for level in levels]
    return parts


def _small_groups(table: pd.DataFrame) -> tuple[Text, ...]:
    """Which groups are too small for an interval, or for it to say much."""
    named = table["grouping"] + "=" + table["level"]
    out: list[Text] = []
    if thin := named[table["n"] < 2].tolist():
        out.append(_("No interval for groups of fewer than two answers: {groups}.", groups=thin))
    if small := list(dict.fromkeys(named[table["n"].between(2, FEWEST - 1)])):
        out.append(
            _(
                "Fewer than {fewest} answers, so the mean and its interval say little: {groups}.",
                fewest=FEWEST,
                groups=small,
            )
        )
    return tuple(out)


def _widest(table: pd.DataFrame, study: Study, construct: str) -> Sentence:
    """The grouping whose means of a construct lie farthest apart, among groups large enough."""
    rows = table[
        (table["construct"] == construct)
        & (table["grouping"] != "all")
        & (table["n"] >= LEAST_SPOKEN_OF)
    ]
    if rows.empty:
        return _("No group has {least} respondents.", least=LEAST_SPOKEN_OF)
    means = rows.groupby("grouping", sort=False)["mean"]
    widest = rows[rows["grouping"] == (means.max() - means.min()).idxmax()]
    ends = [
        _(
            "{level} {mean:.2f} (n = {n})",
            level=_level(study, end["grouping"], end["level"]),
            mean=end["mean"],
            n=end["n"],
        )
        for end in (
            widest.iloc[int(at)] for at in (widest["mean"].argmax(), widest["mean"].argmin())
        )
    ]
    return _(
        "Among groups of at least {least}, {construct} differs most by {grouping}: {ends}. Whether that is more than "
        "chance is tested with the groups.",
        least=LEAST_SPOKEN_OF,
        construct=study.constructs[construct].name,
        grouping=_column(study, widest["grouping"].iloc[0]),
        ends=ends,
    )


def _levels(column: pd.Series) -> pd.Series:
    """The answered cells as level codes."""
    return column.dropna().map(lambda v: f"{v:g}" if isinstance(v, float) else str(v))


def _column(study: Study, name: str) -> Wording | str:
    """The words for a column."""
    return study.columns[name].name or name


def _level(study: Study, column: str, level: str) -> Wording | str:
    """The words for a level of a column."""
    return study.columns[column].levels.get(level, level)


@theme.picture
def plot_likert(
    shares: pd.DataFrame, study: Study, of: str = "", *, language: str = "en"
) -> tuple[Figure, Text]:
    """Diverging stacked bars of the answers to each item: `of` one construct or one role, by default all.

    `shares` is the table of :func:`response_shares`.
    """
    from matplotlib import pyplot

    chosen = shares[[of in ("", code, study.role(code)) for code in shares["construct"]]]
    if chosen.empty:
        raise DataError(
            _(
                "of='{of}' is no construct or role with items. Known: {known}.",
                of=of,
                known=[*study.scales, *theme.ROLES],
            )
        )
    names, groups = list(chosen["item"].unique()), chosen["construct"].nunique()
    figure, axes = pyplot.subplots(figsize=(9.5, 1.3 + 0.42 * len(names) + 0.5 * groups))
    ends, left, right = _bars(axes, chosen, study, language)
    for end in ends.to_dict("records"):
        for x, share, side, colour in (
            (left - 0.02, end["low"], "right", theme.MUTED),
            (right + 0.02, end["high"], "left", theme.INK),
        ):
            axes.text(
                x,
                end["place"],
                f"{100 * share:.0f} %",
                ha=side,
                va="center",
                fontsize=8,
                color=colour,
            )
    axes.set_yticks(ends["place"], ends["label"], fontsize=8, linespacing=theme.LEADING)
    axes.set(ylim=(ends["place"].max() + 0.95, -0.7), xlim=(left - 0.12, right + 0.12), xticks=[])
    axes.grid(False)
    axes.axvline(0, color=theme.MUTED, linewidth=0.8, zorder=3)
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False)
    if chosen["options"].min() == chosen["options"].max():
        _legend(figure, chosen, study)
    return figure, _answers(chosen, ends, study)


def _bars(
    axes: Axes, shares: pd.DataFrame, study: Study, language: str
) -> tuple[pd.DataFrame, float, float]:
    """Draw the bars from the top down, items below their construct.

    Returns item, place, label, low and high (the shares of both halves of the scale), and how far the bars reach.
    """
    y, ends, left, right = 0.0, [], 0.0, 0.0
    for code, part in shares.groupby("construct", sort=False):
        colour = theme.ROLES[study.role(str(code))]
        axes.text(
            0,
            y,
            study.name(str(code), language),
            color=colour,
            weight="bold",
            ha="center",
            va="center",
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
        y += 0.9
        for item, bars in part.groupby("item", sort=False):
            share, count = bars["share"].to_numpy(), len(bars)
            below = count // 2
            start = -(share[:below].sum() + (share[below] / 2 if count % 2 else 0))
            left, right = min(left, start), max(right, share.sum() + start)
            axes.barh(
                y,
                share,
                left=start + np.concatenate([[0], share.cumsum()[:-1]]),
                height=0.72,
                color=_ramp(count, colour),
                edgecolor="white",
                linewidth=0.4,
            )
            label = theme.fold(_labelled(str(item), study)[language], 58, most=2)
            ends.append((item, y, label, share[:below].sum(), share[-below:].sum()))
            y += 1
        y += 0.35
    return pd.DataFrame(ends, columns=["item", "place", "label", "low", "high"]), left, right


def _labelled(item: str, study: Study) -> Sentence:
    """An item by its code and its words; whether it was turned."""
    wording = study.constructs[study.items[item]].items[item]
    if wording.reverse:
        return _("{item} (R)  {wording}", item=item, wording=wording)
    return _("{item}  {wording}", item=item, wording=wording)


def _legend(figure: Figure, shares: pd.DataFrame, study: Study) -> None:
    """The colours of the options, in the role's colour if there is only one."""
    from matplotlib.patches import Patch

    values = shares.loc[shares["item"] == shares["item"].iloc[0], "value"]
    roles = {study.role(code) for code in shares["construct"].unique()}
    colours = _ramp(len(values), theme.ROLES[roles.pop()] if len(roles) == 1 else theme.INK)
    figure.legend(
        [Patch(color=c) for c in colours],
        [f"{v:g}" for v in values],
        loc="outside lower right",
        ncols=len(values),
        frameon=False,
        fontsize=8,
        handlelength=1,
        columnspacing=0.8,
    )


def _answers(shares: pd.DataFrame, ends: pd.DataFrame, study: Study) -> Sentence:
    """What the bars show."""
    n, high = shares["n"], ends.set_index("item")["high"]
    turned = [item for item in high.index if item in study.reversed]
    return joined(
        _(
            "Answers to each item, lower half of the scale to the left, upper half to the right, shares at both ends ({size}).",
            size=f"n = {n.min():,}" + (f"–{n.max():,}" if n.min() < n.max() else ""),
        ),
        _(
            "Highest: {top} ({most:.0f} %); lowest: {bottom} ({least:.0f} %).",
            top=high.idxmax(),
            most=100 * high.max(),
            bottom=high.idxmin(),
            least=100 * high.min(),
        )
        if len(high) > 1
        else _("Upper half: {share:.0f} %.", share=100 * high.iloc[0]),
        _("Marked (R), recoded so that right is favourable: {items}.", items=turned)
        if turned
        else "",
    )


def _ramp(count: int, colour: str) -> list[tuple[float, float, float]]:
    """Option colours from dark grey over near white to the role's colour."""
    from matplotlib.colors import to_rgb

    low, high, pale = (np.array(to_rgb(c)) for c in (theme.INK, colour, "#F1F1F1"))
    steps = np.linspace(-1, 1, count)
    mixed = [pale + (0.75 * (low - pale) * -s if s < 0 else (high - pale) * s) for s in steps]
    return [(red, green, blue) for red, green, blue in mixed]
