"""The factors a study's items form by themselves, beside the constructs it declares.

The methods are in :mod:`cxlib.statistics.extraction` and can be called from here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.absent import Absent, absent, stage
from cxlib.core.errors import DataError, Impossible
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, c_, n_, number, p_text
from cxlib.statistics import extraction
from cxlib.statistics.extraction import (
    EFA,
    Correlation,
    Extraction,
    Rotation,
    bartlett,
    efa,
    kmo,
    map_test,
    parallel,
    rotate,
    too_few,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

__all__ = [
    "EFA",
    "bartlett",
    "efa",
    "factor_correlations",
    "factor_number",
    "factorability",
    "kmo",
    "loadings",
    "map_test",
    "parallel",
    "plot_loadings",
    "plot_scree",
    "rotate",
    "split",
    "structure",
]

KMO_WORDS = (
    (0.9, c_("KMO", "marvellous")),
    (0.8, c_("KMO", "meritorious")),
    (0.7, c_("KMO", "middling")),
    (0.6, c_("KMO", "mediocre")),
    (0.5, c_("KMO", "miserable")),
    (0.0, c_("KMO", "unacceptable")),
)
"""Kaiser's (1974, doi:10.1007/BF02291575) words, each from its value up; rules of thumb, not tests."""
CORRELATIONS = {
    "pearson": c_("correlation", "Pearson"),
    "polychoric": c_("correlation", "polychoric"),
}
NEAR = 0.95
"""Items that correlate beyond this may be copies of one question; a convention."""
FEWEST = 100
"""Fewer rows are called few; a convention (Gorsuch 1983, Factor Analysis)."""
SHOWN = 0.20
"""Smaller loadings are not written into the figure."""


@dataclass(frozen=True)
class Factorability(Result):
    """Whether the items can be factored, with the KMO of each (item, kmo)."""

    items: Result | None = None


@dataclass(frozen=True)
class FactorNumber(Result):
    """How many factors, with the eigenvalues behind it (factor, observed, random, observed_fa, random_fa)."""

    eigenvalues: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Loadings(Result):
    """The loadings of a study's items, with the whole solution behind them."""

    efa: EFA | None = None


@makes("halves", "half n complete")
def split(
    data: pd.DataFrame, study: Study, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame | Absent, Result]:
    """Two random halves of the respondents, to explore and to confirm, and their sizes (half, n, complete).

    complete counts the rows without a missing answer to any item; the first half has the odd row.  Where a half would
    not have more complete rows than items, all rows explore, and there is no other half.
    """
    order, cut, items = rng.permutation(len(data)), (len(data) + 1) // 2, list(study.items)
    parts = data.iloc[np.sort(order[:cut])], data.iloc[np.sort(order[cut:])]
    sizes = [
        (name, len(part), len(part[items].dropna()))
        for name, part in zip(("explore", "confirm"), parts, strict=True)
    ]
    (_half, a, whole_a), (_half, b, whole_b) = sizes
    if min(whole_a, whole_b) <= len(items):
        return data, *_undivided(data, items)
    text = _(
        "{a} respondents explore and {b} others confirm; {whole_a} and {whole_b} of them answered every item.",
        a=a,
        b=b,
        whole_a=whole_a,
        whole_b=whole_b,
    )
    return *parts, Result(
        pd.DataFrame(sizes, columns=["half", "n", "complete"]),
        text,
        len(data),
        _("random halves, seed fixed"),
    )


def _undivided(data: pd.DataFrame, items: list[str]) -> tuple[Absent, Result]:
    """No second half, and the sizes of what explores: everybody."""
    whole = len(data[items].dropna())
    none = absent(
        Impossible(
            _(
                "{rows} complete rows cannot be halved: each half needs more rows than the {items} items, so nobody is left to "
                "confirm on what others explored. Ask more people, or read the fit of the measurement model, which uses all "
                "rows.",
                rows=whole,
                items=len(items),
            )
        )
    )
    said = _(
        "All {respondents} respondents explore, {complete} of whom answered every item. The other half is left out: fewer "
        "rows than the {items} items need.",
        respondents=len(data),
        complete=whole,
        items=len(items),
    )
    table = pd.DataFrame([("explore", len(data), whole)], columns=["half", "n", "complete"])
    return none, Result(table, said, len(data), _("no halves"), (said,))


@makes("factorability", "statistic value")
@stage
def factorability(
    data: pd.DataFrame,
    study: Study,
    items: Sequence[str] | None = None,
    correlation: Correlation = "pearson",
) -> Factorability:
    """Whether the items share enough to be factored: KMO and Bartlett's test.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
        Declares the items.
    items : sequence of str, optional
        All items of the study by default.  Constant items, and copies of others, are left out with a warning.
    correlation
        As :func:`cxlib.statistics.extraction.kmo`.

    Returns
    -------
    Factorability
        statistic (kmo, bartlett_chisq, bartlett_df, bartlett_p), value; ``.items`` has item, kmo.

    Raises
    ------
    DataError, Impossible
        An item that the study or the data do not have, or too few rows.
    """
    frame, warnings = _frame(data, study, items)
    value, each = kmo(frame, correlation)
    chisq, df, p = bartlett(frame, correlation)
    table = pd.DataFrame(
        {
            "statistic": ["kmo", "bartlett_chisq", "bartlett_df", "bartlett_p"],
            "value": [value, chisq, float(df), p],
        }
    )
    lowest = str(each.idxmin())
    text = _(
        "The KMO of {items} items is {kmo:.2f}, {word} in Kaiser's (1974) words; Bartlett's test gives "
        "χ²({df}) = {chisq:.1f}, {p}.",
        items=frame.shape[1],
        kmo=value,
        word=next(word for least, word in KMO_WORDS if value >= least),
        df=df,
        chisq=chisq,
        p=p_text(p),
    )
    if correlation == "polychoric":
        warnings.append(
            _(
                "Of polychoric correlations Bartlett's statistic is no exact χ²; read it as a rough guide."
            )
        )
    if low := [f"{item} ({v:.2f})" for item, v in each.items() if v < KMO_WORDS[-2][0]]:
        warnings.append(
            _(
                "KMO below .50, a convention: {items}. These items share little with the others.",
                items=low,
            )
        )
    said = _("The lowest KMO of an item is {kmo:.2f} ({item}).", kmo=each.min(), item=lowest)
    method = _(
        "KMO (Kaiser and Rice 1974); Bartlett (1951); {correlation} correlations; listwise",
        correlation=CORRELATIONS[correlation],
    )
    own = Result(each.rename_axis("item").reset_index(), said, len(frame), method)
    return Factorability(table, text, len(frame), method, tuple(warnings), own)


@makes("kmo_items", "item kmo")
@stage
def kmo_items(result: Factorability) -> Result | None:
    """The KMO of every item (item, kmo)."""
    return result.items


@makes("eigenvalues", "factor observed random observed_fa random_fa")
@stage
def eigenvalues(result: FactorNumber) -> pd.DataFrame:
    """The eigenvalues of the data beside those of random data (factor, observed, random, observed_fa, random_fa)."""
    return result.eigenvalues


@makes("factor_number", "criterion factors")
@stage
def factor_number(
    data: pd.DataFrame,
    study: Study,
    rng: np.random.Generator,
    items: Sequence[str] | None = None,
    draws: int = 500,
    correlation: Correlation = "pearson",
) -> FactorNumber:
    """How many factors: parallel analysis, Velicer's MAP, and Kaiser's eigenvalue rule as a foil.

    Parameters
    ----------
    data, study, items, correlation
        As :func:`factorability`; parallel analysis and Kaiser's rule stay with Pearson correlations.
    rng : Generator
        Source of the random data of parallel analysis.
    draws : int
        Random data sets.

    Returns
    -------
    FactorNumber
        criterion (parallel: components, parallel_fa: common factors, map, kaiser), factors; ``.eigenvalues`` has factor,
        observed, random, observed_fa, random_fa.
    """
    frame, warnings = _frame(data, study, items)
    found, roots = extraction.number(frame, rng, draws, correlation)
    declared = int(
        (pd.Series([study.items[item] for item in frame.columns]).value_counts() > 1).sum()
    )  # one item is no factor
    text = _(
        "Parallel analysis finds {parallel} (of common factors {parallel_fa}) and Velicer's MAP {map}; {declared}. "
        "Eigenvalues above 1 would give {kaiser}, a rule that tends to find too many.",
        parallel=n_("{n:,} factor", "{n:,} factors", found["parallel"]),
        parallel_fa=found["parallel_fa"],
        map=found["map"],
        declared=n_(
            "{n:,} construct of several items is declared",
            "{n:,} constructs of several items are declared",
            declared,
        ),
        kaiser=found["kaiser"],
    )
    if found["parallel"] < declared:
        warnings.append(_fewer(found, declared, len(frame)))
    method = _(
        "Horn's parallel analysis ({draws} normal samples, 95% quantile); Velicer's MAP (1976, {correlation} correlations); "
        "eigenvalues above 1; listwise",
        draws=draws,
        correlation=CORRELATIONS[correlation],
    )
    table = pd.DataFrame({"criterion": list(found), "factors": list(found.values())})
    return FactorNumber(table, text, len(frame), method, tuple(warnings), roots)


def _fewer(found: dict[str, int], declared: int, rows: int) -> Sentence:
    """Fewer factors than constructs, and what that may mean."""
    if (
        found["parallel_fa"] >= declared
    ):  # components of constructs that correlate hide behind the first
        why = _(
            "but of common factors, which suit correlated constructs better, {factors}; see what n_factors={declared} gives",
            factors=found["parallel_fa"],
            declared=declared,
        )
    elif rows < FEWEST:
        why = _("so few rows may simply not show more")
    else:
        why = _("some may be hard to tell apart")
    return _(
        "The answers show {dimensions}, fewer than the {declared} constructs of several items: {why}. See discriminant "
        "validity in the measurement model.",
        dimensions=n_("{n:,} dimension", "{n:,} dimensions", found["parallel"]),
        declared=declared,
        why=why,
    )


@makes("loadings", "item communality", open=True)
@stage
def loadings(
    data: pd.DataFrame,
    study: Study,
    factors: int | FactorNumber | None = None,
    items: Sequence[str] | None = None,
    method: Extraction = "minres",
    rotation: Rotation = "oblimin",
    correlation: Correlation = "pearson",
) -> Loadings:
    """Exploratory loadings of a study's items, factors named by the construct whose items they carry.

    A factor bears the name of a construct if at least half of the items that load highest on it belong to that
    construct; each name is given once, to the factor with the highest mean loading.  The others stay F1, F2 ….

    Parameters
    ----------
    data, study, items
        As :func:`factorability`.
    factors : int or FactorNumber, optional
        How many, or what :func:`factor_number` found (parallel analysis counts); by default as many as constructs.
    method, rotation, correlation
        As :func:`cxlib.statistics.extraction.efa`.

    Returns
    -------
    Loadings
        item, one column a factor, communality, items sorted by the factor they load highest on; ``.efa`` is the whole
        solution in the order of the study.

    Raises
    ------
    DataError, Impossible
        As :func:`factorability`, or more factors than the items allow.
    """
    frame, warnings = _frame(data, study, items)
    if isinstance(factors, FactorNumber):
        factors = int(factors.table["factors"].iloc[0])
    if factors == 0:
        factors = 1
        warnings.append(
            _("No factor stands out from chance; one is shown, and should not be interpreted.")
        )
    solution = efa(
        frame,
        factors or len({study.items[item] for item in frame.columns}),
        method,
        rotation,
        correlation=correlation,
    )
    names = extraction.namesakes(solution.loadings, study.items)
    names = {
        factor: names.get(
            factor, factor if factor not in study.constructs else f"Factor {factor[1:]}"
        )
        for factor in map(str, solution.loadings)
    }  # a factor without a namesake keeps a name that no construct has
    solution = replace(
        solution,
        loadings=solution.loadings.rename(columns=names),
        correlations=solution.correlations.rename(index=names, columns=names),
    )
    pattern = solution.loadings
    table = (
        pattern.assign(communality=solution.communality)
        .loc[extraction.by_factor(pattern)]
        .rename_axis("item")
        .reset_index()
    )
    return Loadings(
        table,
        _explained(solution, study),
        solution.n_used,
        _("{solution}; listwise", solution=_method(solution)),
        (*_flags(solution), *warnings),
        solution,
    )


def _method(solution: EFA) -> Sentence:
    """How a solution was computed."""
    if solution.rotation == "none":
        turning = _("no rotation")
    elif solution.kaiser:
        turning = _("{rotation} rotation with Kaiser normalisation", rotation=solution.rotation)
    else:
        turning = _("{rotation} rotation without Kaiser normalisation", rotation=solution.rotation)
    return _(
        "{extraction} extraction of {correlation} correlations, {turning}",
        extraction=solution.extraction,
        correlation=CORRELATIONS[solution.correlation],
        turning=turning,
    )


def _explained(solution: EFA, study: Study) -> Sentence:
    """What the factors explain, which bear the name of a construct, and which of its items load elsewhere."""
    pattern, m = solution.loadings, solution.loadings.shape[1]
    explained = n_(
        "{n:,} factor accounts for {share:.0%} of the variance of {items} items",
        "{n:,} factors account for {share:.0%} of the variance of {items} items",
        m,
        share=solution.variance["cumulative"].iloc[-1],
        items=len(pattern),
    )
    named = [code for code in study.constructs if code in pattern]
    if not named and m == 1:
        return _(
            "{explained}. Items of several constructs share it, so no factor bears the name of a construct.",
            explained=explained,
        )
    if not named:
        return _(
            "{explained}. Items of several constructs share each factor, so no factor bears the name of a construct.",
            explained=explained,
        )
    bears = (
        _("It bears the name of a construct")
        if m == 1
        else n_(
            "{n} of them bears the name of a construct",
            "{n} of them bear the name of a construct",
            len(named),
        )
    )
    home = pattern.abs().idxmax(axis=1)
    stray = [
        item
        for item in pattern.index
        if study.items[item] in named and home[item] != study.items[item]
    ]
    return _(
        "{explained}. {bears}; {stray}.",
        explained=explained,
        bears=bears,
        stray=_strays(stray, len(named)),
    )


def _strays(items: list[str], named: int) -> Sentence:
    """Which items of the constructs that name a factor load elsewhere."""
    if named == 1 and not items:
        return _("of this construct's items, none loads highest on another factor")
    if named == 1:
        return n_(
            "of this construct's items, {items} loads highest on another factor",
            "of this construct's items, {items} load highest on another factor",
            len(items),
            items=items,
        )
    if not items:
        return _("of these constructs' items, none loads highest on another factor")
    return n_(
        "of these constructs' items, {items} loads highest on another factor",
        "of these constructs' items, {items} load highest on another factor",
        len(items),
        items=items,
    )


@makes("structure", "item", open=True)
@stage
def structure(result: Loadings) -> Result:
    """Correlations of the items with the factors (item, one column a factor), sorted as the loadings.

    A loading is what a factor does with the others held constant, a structure coefficient what item and factor share
    in all; with uncorrelated factors they are the same.
    """
    solution = _solution(result)
    whole, pattern = solution.structure, solution.loadings
    gap = (whole - pattern).abs().to_numpy()
    at, same = np.unravel_index(gap.argmax(), gap.shape), gap.max() < 1e-12
    text = (
        _("The factors are uncorrelated: structure and pattern are the same.")
        if same
        else _(
            "Structure and pattern differ most for {item}: its correlation with a factor is {r}, its loading {loading}.",
            item=str(pattern.index[int(at[0])]),
            r=number(whole.to_numpy()[at], 2),
            loading=number(pattern.to_numpy()[at], 2),
        )
    )
    return Result(
        whole.loc[extraction.by_factor(pattern)].rename_axis("item").reset_index(),
        text,
        result.n_used,
        result.method,
    )


@makes("factor_correlations", "factor", open=True)
@stage
def factor_correlations(result: Loadings) -> Result:
    """Correlations of the factors of a solution: factor, one column a factor."""
    r = _solution(result).correlations
    values = r.to_numpy()
    text = _("There is only one factor.")
    if len(r) > 1:
        i, j = max(combinations(range(len(r)), 2), key=lambda pair: abs(values[pair]))
        text = _(
            "The factors that go most together are {a} and {b} (r = {r}).",
            a=r.index[i],
            b=r.index[j],
            r=number(values[i, j], 2),
        )
    return Result(r.rename_axis("factor").reset_index(), text, result.n_used, result.method)


def _solution(result: Loadings) -> EFA:
    if result.efa is None:
        raise ValueError(
            "These loadings come without their solution. Pass what loadings() returned."
        )
    return result.efa


@stage
@theme.picture
def plot_scree(
    result: FactorNumber, study: Study, *, language: str = "en"
) -> tuple[Figure, Sentence]:
    """Observed eigenvalues beside random ones, with the number retained."""
    from matplotlib import pyplot

    roots = result.eigenvalues
    kept = int(result.table.loc[result.table["criterion"] == "parallel", "factors"].item())
    figure, axes = pyplot.subplots(figsize=(7, 4))
    x, seen, random = roots["factor"], roots["observed"], roots["random"]
    axes.plot(x, random, color=theme.MUTED, linestyle=(0, (4, 3)), linewidth=1.5)
    axes.plot(x, seen, color=theme.GRID, linewidth=1.5, zorder=1)
    axes.plot(x[:kept], seen[:kept], "o", color=theme.ROLES["service"], markersize=7)
    axes.plot(
        x[kept:],
        seen[kept:],
        "o",
        markerfacecolor="white",
        markeredgecolor=theme.MUTED,
        markersize=5,
    )
    axes.annotate(
        _("random data (95% quantile)")[language],
        (x.iloc[-1], random.iloc[-1]),
        (0, 14),
        textcoords="offset points",
        ha="right",
        color=theme.MUTED,
        fontsize=9,
    )
    if kept:
        axes.annotate(
            _("{kept} retained", kept=kept)[language],
            (x[kept - 1], seen[kept - 1]),
            (22, 24),
            textcoords="offset points",
            color=theme.ROLES["service"],
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": theme.ROLES["service"]},
        )
    axes.set(
        xlabel=_("factor")[language],
        ylabel=_("eigenvalue")[language],
        ylim=(0, None),
    )
    axes.locator_params(axis="x", integer=True)
    return figure, n_(
        "Eigenvalues of the {items} items' correlations (n = {used:,}). Filled dots lie above what random data of the same "
        "size give, so {n:,} factor is retained.",
        "Eigenvalues of the {items} items' correlations (n = {used:,}). Filled dots lie above what random data of the same "
        "size give, so {n:,} factors are retained.",
        kept,
        items=len(x),
        used=result.n_used,
    )


@stage
@theme.picture
def plot_loadings(
    result: Loadings, study: Study, *, language: str = "en"
) -> tuple[Figure, Sentence]:
    """Heat map of the loadings, items sorted by construct and coloured by its role."""
    import seaborn
    from matplotlib import pyplot

    pattern = _solution(result).loadings
    pattern = pattern[
        [c for c in study.constructs if c in pattern]
        + [f for f in pattern if f not in study.constructs]
    ]
    pattern = pattern.loc[[item for item in study.items if item in pattern.index]]
    rows, columns = pattern.shape
    figure, axes = pyplot.subplots(figsize=(2.2 + 0.85 * columns, 1.6 + 0.24 * rows))
    words = pattern.map(lambda value: number(value, 2) if abs(value) >= SHOWN else "")
    seaborn.heatmap(
        pattern,
        annot=words,
        fmt="",
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        cbar=False,
        annot_kws={"fontsize": 7.5},
        ax=axes,
    )
    owner = [study.items[item] for item in pattern.index]
    for y in range(1, rows):
        if owner[y] != owner[y - 1]:
            axes.axhline(y, color=theme.INK, linewidth=0.8)
    axes.set_yticks(np.arange(rows) + 0.5, pattern.index, fontsize=8, rotation=0)
    for tick, code in zip(axes.get_yticklabels(), owner, strict=True):
        tick.set_color(theme.ROLES[study.role(code)])
    axes.xaxis.tick_top()
    axes.set_xticks(
        np.arange(columns) + 0.5,
        [study.name(str(factor), language) for factor in pattern],
        rotation=30,
        ha="left",
        rotation_mode="anchor",
        fontsize=8,
    )
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0)
    return figure, _(
        "Factor loadings ({method}; n = {n:,}); numbers below .20 are not written. Factors bear the name of the construct "
        "whose items they carry; lines part the items of one construct from the next. Look for items that sit elsewhere.",
        method=result.method,
        n=result.n_used,
    )


def _flags(solution: EFA) -> list[Text]:
    """What a reader must know before believing a solution."""
    out = list(solution.warnings)
    if not solution.converged:
        out.append(
            _("The solution did not converge; do not interpret the loadings. Try fewer factors.")
        )
    if solution.heywood:
        out.append(
            _(
                "Heywood case: the communality of {items} reaches 1, so the solution is improper. Try fewer factors.",
                items=list(map(str, solution.heywood)),
            )
        )
    if len(solution.cross):
        out.append(
            _(
                "Cross-loading (a second loading of at least .32, a convention of Tabachnick and Fidell): {items}.",
                items=list(solution.cross["item"]),
            )
        )
    return out


def _frame(
    data: pd.DataFrame, study: Study, items: Sequence[str] | None
) -> tuple[pd.DataFrame, list[Text]]:
    """The complete rows of the items asked for, without those that have no correlations, and what was left out."""
    wanted = list(study.items) if items is None else list(items)
    if unknown := [item for item in wanted if item not in study.items]:
        raise DataError(
            _(
                "The study '{study}' has no item {items}. Its items are {known}.",
                study=study.id,
                items=unknown,
                known=list(study.items),
            )
        )
    if absent_columns := [item for item in wanted if item not in data]:
        raise DataError(
            _(
                "The data have no column {columns}, which the study '{study}' declares. Check the column names.",
                columns=absent_columns,
                study=study.id,
            )
        )
    rows = data[wanted].dropna()
    if len(rows) < 3:
        raise too_few(len(rows), len(data), len(wanted))
    rest, dropped = _with_correlations(rows)
    return rest, [*_sample(len(rows), len(data)), *dropped, *_near(rest)]


def _sample(used: int, rows: int) -> list[Text]:
    """How many rows there are, where that must be said."""
    out: list[Text] = []
    if used < rows:
        out.append(
            _(
                "{left_out} of {rows} rows have a missing answer and were left out; {used} were used.",
                left_out=rows - used,
                rows=rows,
                used=used,
            )
        )
    if used < FEWEST:
        out.append(
            _(
                "{rows} rows are few for factors: below {fewest}, a convention (Gorsuch 1983), their number and loadings "
                "change much from sample to sample.",
                rows=used,
                fewest=FEWEST,
            )
        )
    return out


def _with_correlations(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Text]]:
    """The items without constant ones and without copies, and which these are."""
    out: list[Text] = []
    if constant := [item for item in rows if (rows[item] == rows[item].iloc[0]).all()]:
        out.append(_("Left out, because everyone gave the same answer: {items}.", items=constant))
    rest = rows.drop(columns=constant)
    if copies := list(rest.columns[rest.T.duplicated()]):
        out.append(
            _(
                "Left out, because identical to another item in every row (perhaps a column was copied): {items}.",
                items=copies,
            )
        )
    return rest.drop(columns=copies), out


def _near(rest: pd.DataFrame) -> list[Text]:
    """The items whose answers are nearly the same."""
    r = rest.corr().abs().to_numpy()
    pairs = [
        f"{rest.columns[i]} – {rest.columns[j]}"
        for i, j in combinations(range(len(r)), 2)
        if r[i, j] > NEAR
    ]
    if not pairs:
        return []
    return [
        _(
            "Nearly the same answers (correlation beyond .95, a convention): {pairs}. They may make a factor of their own; "
            "keep one of each.",
            pairs=pairs,
        )
    ]
