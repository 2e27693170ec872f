"""Reliability of a study's scales: how consistently their items measure, and which item is the weak one.

The coefficients of one scale are in :mod:`cxlib.statistics.consistency` and can be called from here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import reason
from cxlib.core.errors import DataError, Impossible
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, joined, n_, number
from cxlib.diagram import forests
from cxlib.statistics.consistency import (
    ENOUGH,
    Kind,
    Measured,
    Note,
    alpha,
    complete_rows,
    item_statistics,
    omega_hierarchical,
    omega_total,
    resampled,
    split_half,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

__all__ = [
    "alpha",
    "hierarchical",
    "item_reliability",
    "item_statistics",
    "omega_total",
    "ordinal_reliability",
    "plot_items",
    "plot_reliability",
    "reliability",
    "resampled",
    "split_half",
]
WEAK = 0.30
"""A corrected item-total correlation below this is called weak (Nunnally and Bernstein 1994): a rule of thumb."""
Part = Callable[[pd.DataFrame], tuple[pd.DataFrame, Sequence[Text]]]
"""A coefficient of the complete rows of one scale: its table, and what must be said of it."""
TOLD: dict[Kind, Callable[..., Sentence]] = {
    "missing": lambda left_out, rows, used: _(
        "{left_out} of {rows} rows have a missing answer and were left out; {used} were used.",
        left_out=left_out,
        rows=rows,
        used=used,
    ),
    "near": lambda pairs: _(
        "Nearly the same answers (r above .95, a convention): {pairs}. If they ask the same, alpha is too high.",
        pairs=[f"{a} – {b}" for a, b in pairs],
    ),
    "identical": lambda pairs: _(
        "Identical in every row: {pairs}. Perhaps a column was copied; alpha is then too high.",
        pairs=[f"{a} = {b}" for a, b in pairs],
    ),
    "lambda6": lambda: _(
        "Guttman's λ6 is not estimable: some item is a combination of the others."
    ),
    "alpha_std": lambda: _(
        "alpha_std is not estimable: the sum of the standardised items does not vary."
    ),
    "resamples": lambda lost, drawn: _(
        "In {lost} of {drawn} resamples the sum does not vary; they were left out.",
        lost=lost,
        drawn=drawn,
    ),
    "low": lambda alpha: _(
        "Alpha is {alpha}, below .70: a convention (Nunnally 1978), not a test.",
        alpha=number(alpha, 2),
    ),
    "omega_singular": lambda: _(
        "Omega is not estimable: the one-factor model cannot be fitted, as some item is a combination of the others."
    ),
    "omega_not_converged": lambda: _(
        "Omega is not estimable: the one-factor model did not converge."
    ),
    "omega_improper": lambda: _(
        "Omega rests on an improper one-factor solution (a negative variance); do not rely on it."
    ),
    "halves": lambda: _(
        "Split-half reliability is not estimable: in some split a half does not vary, or the halves are opposite. "
        "Perhaps an item is not reverse-coded."
    ),
    "two_items": lambda: _("With two items there is no alpha if one is dropped."),
    "rest": lambda items: _(
        "r_drop and alpha_if_dropped of {items} are not estimable: the sum of the others does not vary.",
        items=items,
    ),
    "against": lambda item, r: _(
        "{item} goes against its scale (r = {r}): perhaps it is not reverse-coded.",
        item=item,
        r=number(r, 2),
    ),
    "rises": lambda item, before, after: _(
        "Without {item} alpha rises from {before} to {after}; read its wording before dropping it.",
        item=item,
        before=number(before, 2),
        after=number(after, 2),
    ),
}
"""What the notes of :mod:`cxlib.statistics.consistency` say."""


def told(note: Note) -> Sentence:
    """A note in words."""
    return TOLD[note.kind](**note.values)


def _spoken(measured: Measured) -> tuple[pd.DataFrame, list[Text]]:
    return measured.table, [told(note) for note in measured.notes]


COLUMNS = "construct items n alpha alpha_low alpha_high alpha_std omega split_half mean_r lambda6"
BOOT = "alpha_boot_low alpha_boot_high"


@makes("reliability", COLUMNS, more=BOOT)
def reliability(data: pd.DataFrame, study: Study, rng: np.random.Generator | None = None) -> Result:
    """Reliability of every scale of a study.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, reverse items already recoded.
    study : Study
        Declares the constructs and their items.
    rng : Generator, optional
        For the bootstrap interval of alpha (2,000 draws of respondents, the same for all scales), and for scales of more
        than 16 items, whose splits are drawn.

    Returns
    -------
    Result
        construct, items, n (complete rows of that scale), alpha, alpha_low, alpha_high, alpha_std, omega, split_half,
        mean_r, lambda6, and with `rng` alpha_boot_low, alpha_boot_high.  What a scale cannot give is missing, and the
        warnings say why.

    Raises
    ------
    DataError
        An item the data do not have.
    """
    data, times = data.reset_index(drop=True), None if rng is None else resampled(len(data), rng)
    table, used, warnings = _each(
        data,
        study,
        lambda rows: _spoken(alpha(rows, None if times is None else times[rows.index])),
        lambda rows: _spoken(split_half(rows, rng)),
        lambda rows: _spoken(omega_total(rows)),
    )
    table = table.reindex(columns=[*COLUMNS.split(), *([] if times is None else BOOT.split())])
    boot = (
        ""
        if times is None
        else _(
            " and the percentile interval of {draws:,} bootstrap draws (boot)", draws=times.shape[1]
        )
    )
    method = _(
        "Cronbach's alpha with Feldt's 95% interval{boot}; omega total (Σλ)²/((Σλ)² + Σθ), one-factor ML; "
        "mean Spearman–Brown corrected split half; listwise within a scale",
        boot=boot,
    )
    return Result(table, _range(table, study), used, method, tuple(warnings))


def _range(table: pd.DataFrame, study: Study) -> Sentence:
    """The lowest and the highest alpha, and how many reach the convention."""
    known = table.dropna(subset="alpha").sort_values("alpha")
    if known.empty:
        return _("No scale has an estimable reliability; the warnings say why.")
    low, high = known.iloc[0], known.iloc[-1]
    return n_(
        "Cronbach's alpha runs from {low} ({low_name}) to {high} ({high_name}); {reach} of {n:,} scale reach .70, "
        "a convention (Nunnally 1978).",
        "Cronbach's alpha runs from {low} ({low_name}) to {high} ({high_name}); {reach} of {n:,} scales reach .70, "
        "a convention (Nunnally 1978).",
        len(known),
        low=number(low["alpha"], 2),
        low_name=study.constructs[low["construct"]].name,
        high=number(high["alpha"], 2),
        high_name=study.constructs[high["construct"]].name,
        reach=int((known["alpha"] >= ENOUGH[0]).sum()),
    )


@makes("omega_hierarchical", "construct items n alpha omega_total omega_hierarchical")
def hierarchical(data: pd.DataFrame, study: Study) -> Result:
    """Omega of every second-order construct: construct, items, n, alpha, omega_total, omega_hierarchical.

    From a second-order maximum-likelihood model of all its items: omega_total = 1 − Σθ/1'Σ1 is the share of the sum's
    variance that any factor explains, omega_hierarchical = (Σλγ)²φ/1'Σ1 the share of the second-order factor alone (Σ
    the implied covariances; Zinbarg et al. 2005, doi:10.1007/s11336-003-0974-7).

    Parameters
    ----------
    data, study
        As :func:`reliability`.

    Notes
    -----
    R: ``semTools::compRelSEM(lavaan::cfa(model, data), obs.var = FALSE, higher = "G")`` is omega_hierarchical.
    """

    wholes = {
        code: {part: study.scales[part] for part in construct.of}
        for code, construct in study.constructs.items()
        if construct.of
    }
    owner = {
        tuple(item for own in parts.values() for item in own): code
        for code, parts in wholes.items()
    }

    def omegas(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Text]]:
        code = owner[tuple(map(str, frame))]
        return _second_order(frame, code, wholes[code])

    scales = {code: list(items) for items, code in owner.items()}
    table, used, warnings = _each(data, study, omegas, scales=scales)
    table = table.reindex(
        columns=["construct", "items", "n", "alpha", "omega_total", "omega_hierarchical"]
    )
    text = joined(
        *(
            _(
                "Of the variance of the sum of all items of {name}, a share of {total} is reliable and {own} is due to "
                "{name} itself; the difference belongs to its parts.",
                name=study.constructs[row["construct"]].name,
                total=number(row["omega_total"], 2),
                own=number(row["omega_hierarchical"], 2),
            )
            for row in table.to_dict("records")
        )
    )
    return Result(
        table,
        text or _("No construct of this study is of second order."),
        used,
        _("omega total and hierarchical of a second-order ML model; listwise"),
        tuple(warnings),
    )


def _second_order(
    frame: pd.DataFrame, whole: str, parts: Mapping[str, Sequence[str]]
) -> tuple[pd.DataFrame, list[Text]]:
    """Alpha and both omegas of a second-order construct."""
    rows, notes = complete_rows(frame)
    model = {**parts, whole: list(parts)}
    try:
        fit = sem.fit(
            rows, "\n".join(f"{factor} =~ {' + '.join(own)}" for factor, own in model.items())
        )
    except ValueError as error:
        raise Impossible(_("No omega: {reason}", reason=reason(error))) from error
    total, own = omega_hierarchical(fit.parameters, fit.implied[0].cov, whole, parts)
    table = alpha(rows).table[["alpha"]].assign(omega_total=total, omega_hierarchical=own)
    return table, [*map(told, notes), *fit.warnings]


@makes("ordinal_reliability", "construct items n alpha_ordinal alpha_std")
def ordinal_reliability(data: pd.DataFrame, study: Study) -> Result:
    """Ordinal alpha of every scale, from polychoric correlations: construct, items, n, alpha_ordinal, alpha_std.

    It speaks of the normal responses behind the answers, alpha_std of the answers themselves, whose sum is what one uses.

    Notes
    -----
    Zumbo, Gadermann & Zeisser (2007), doi:10.22237/jmasm/1177992180.
    R: ``psych::alpha(lavaan::lavCor(frame, ordered = names(frame)))$total$raw_alpha``.
    """

    table, used, warnings = _each(data, study, _ordinal)
    table = table.reindex(columns=["construct", "items", "n", "alpha_ordinal", "alpha_std"])
    gain = (table["alpha_ordinal"] - table["alpha_std"]).median()
    return Result(
        table,
        _(
            "Taking the answers for ordered categories raises alpha by {gain} (median of the scales).",
            gain=number(gain, 2),
        ),
        used,
        _(
            "ordinal alpha from polychoric correlations, beside standardised alpha; listwise within a scale"
        ),
        tuple(warnings),
    )


def _ordinal(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Text]]:
    """Both alphas of one scale; what alpha has to say is said with alpha."""
    standard = alpha(frame).table[["alpha_std"]]
    try:
        return standard.assign(alpha_ordinal=sem.ordinal_alpha(frame)), []
    except ValueError as error:
        raise Impossible(_("No ordinal alpha: {reason}", reason=reason(error))) from error


@makes("item_reliability", "construct item r_drop alpha_if_dropped n mean sd")
def item_reliability(data: pd.DataFrame, study: Study) -> Result:
    """What each item adds to its scale, for every scale of a study.

    Parameters
    ----------
    data, study
        As :func:`reliability`.

    Returns
    -------
    Result
        construct, item, r_drop, alpha_if_dropped, n, mean, sd.

    Raises
    ------
    DataError
        As :func:`reliability`.
    """
    table, used, warnings = _each(
        data, study, lambda rows: _spoken(item_statistics(rows)), by_item=True
    )
    table = table.reindex(
        columns=["construct", "item", "r_drop", "alpha_if_dropped", "n", "mean", "sd"]
    )
    return Result(
        table,
        _weak_items(table),
        used,
        _("corrected item-total correlation; alpha if item dropped; listwise within a scale"),
        tuple(warnings),
    )


def _weak_items(table: pd.DataFrame) -> Sentence:
    """How many items go little with their scale, and which."""
    weak, known = table[table["r_drop"] < WEAK], int(table["r_drop"].notna().sum())
    items = n_("{n:,} item", "{n:,} items", known)
    if weak.empty:
        return _(
            "Of {items}, none goes little with the rest of its scale (r below .30, a convention).",
            items=items,
        )
    return n_(
        "Of {items}, {n} goes little with the rest of its scale (r below .30, a convention): {weak}.",
        "Of {items}, {n} go little with the rest of the scale (r below .30, a convention): {weak}.",
        len(weak),
        items=items,
        weak=[f"{row['item']} ({number(row['r_drop'], 2)})" for row in weak.to_dict("records")],
    )


@theme.picture
def plot_reliability(
    result: Result, study: Study, *, language: str = "en"
) -> tuple[Figure, Sentence]:
    """Alpha with its interval, and omega, one row a construct."""
    from matplotlib import pyplot

    table = result.table
    figure, axes = pyplot.subplots(figsize=(7, 1.3 + 0.4 * len(table)))
    forests.labelled(
        axes,
        table.rename(
            columns={"alpha": "est", "alpha_low": "ci_low", "alpha_high": "ci_high"}
        ).assign(
            label=[
                f"{study.name(code, language)} ({items})"
                for code, items in zip(table["construct"], table["items"], strict=True)
            ],
            heading=False,
            colour=[theme.ROLES[study.role(code)] for code in table["construct"]],
        ),
        language,
    )
    axes.plot(
        table["omega"],
        table.index,
        "D",
        markerfacecolor="none",
        markeredgecolor=theme.INK,
        markersize=10,
    )
    for line, side in zip(ENOUGH, ("right", "left"), strict=True):
        forests.convention(
            axes,
            line,
            forests.conventional(line)[language] if side == "right" else f"{line:.2f}"[1:],
            side,
        )
    axes.set(
        xlim=(
            max(-0.5, np.floor(10 * np.nanmin([0.4, *table["alpha_low"], *table["omega"]])) / 10),
            1,
        ),
        xlabel=_("● alpha with 95% interval   ◇ omega   (number of items)")[language],
    )
    return figure, _(
        "Reliability of each scale (n = {n} complete rows). Dots and bold numbers are Cronbach's alpha with Feldt's "
        "95% interval, diamonds omega total; the dashed lines are conventions (Nunnally 1978), not tests. Look for intervals "
        "that reach left of them.",
        n=_sizes(table),
    )


@theme.picture
def plot_items(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Sentence]:
    """Corrected item-total correlations, items below the name of their construct."""
    table = result.table
    figure = forests.by_construct(
        table.assign(
            est=table["r_drop"],
            ci_low=table["r_drop"].clip(upper=0),
            ci_high=table["r_drop"].clip(lower=0),
        ),
        study,
        WEAK,
        _("correlation of an item with the sum of the others of its scale")[language],
        language,
    )
    return figure, _(
        "Corrected item-total correlations (n = {n}). Items left of the dashed line (.30, a convention) go little with "
        "their scale; a negative one is perhaps not reverse-coded.",
        n=_sizes(table),
    )


def _sizes(table: pd.DataFrame) -> str:
    low, high = table["n"].min(), table["n"].max()
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _each(
    data: pd.DataFrame,
    study: Study,
    *parts: Part,
    scales: Mapping[str, list[str]] | None = None,
    by_item: bool = False,
) -> tuple[pd.DataFrame, int, list[Text]]:
    """Measure every scale: the tables below one another, rows with at least one complete scale, warnings by name.

    The columns of the parts stand side by side, one line a scale or `by_item`; a part that has nothing to compute leaves its reason.
    """
    if absent := [item for item in study.items if item not in data]:
        raise DataError(
            _(
                "The data have no column {columns}, which the study '{study}' declares. Check the column names.",
                columns=absent,
                study=study.id,
            )
        )
    scales = study.scales if scales is None else scales
    tables, warnings, used = [pd.DataFrame()], [], np.zeros((len(scales), len(data)), bool)
    for (code, items), complete in zip(scales.items(), used, strict=True):
        complete[:] = data[items].notna().all(axis=1)
        table, notes = _one(data.loc[complete, items], parts, by_item)
        tables.append(table.assign(construct=code))
        name = study.constructs[code].name
        warnings += [_("{name} ({code}): {note}", name=name, code=code, note=n) for n in notes]
    return (
        pd.concat(tables, ignore_index=True),
        int(used.any(axis=0).sum()),
        [*_left_out((~used).sum(axis=1), len(data)), *warnings],
    )


def _one(
    frame: pd.DataFrame, parts: Sequence[Part], by_item: bool
) -> tuple[pd.DataFrame, list[Text]]:
    """The parts of one scale side by side, and what they say, once."""
    items, notes = list(frame), dict[str, Text]()
    table = pd.DataFrame({"item": items} if by_item else {"items": [len(items)]})
    table = table.assign(n=len(frame))
    for part in parts:
        said: Sequence[Text]
        try:
            found, said = part(frame)
        except Impossible as error:
            said = [reason(error)]
        else:
            table = table.assign(**found)
        notes |= {note["en"]: note for note in said}
    return table, list(notes.values())


def _left_out(gaps: np.ndarray, rows: int) -> list[Text]:
    """How many rows the scales leave out, from the fewest to the most."""
    if not gaps.any():
        return []
    low, high = int(gaps.min()), int(gaps.max())
    if low == high:
        return [
            _(
                "A row with a missing answer is left out of that scale: {rows:,} of {all:,} rows (column n).",
                rows=low,
                all=rows,
            )
        ]
    return [
        _(
            "A row with a missing answer is left out of that scale: {low:,} to {high:,} of {all:,} rows (column n).",
            low=low,
            high=high,
            all=rows,
        )
    ]
