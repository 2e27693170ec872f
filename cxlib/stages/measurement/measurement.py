"""Stage 05, the measurement model: do the items measure the constructs they are said to measure?

A confirmatory factor model, the validity of its constructs, and whether one common method could have made
the correlations.  Every cut-off named here is a convention of its authors, not a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, joined, n_, number, p_text
from cxlib.diagram import forests
from cxlib.sem.result import Z95
from cxlib.stages.measurement.common_method import method_bias
from cxlib.stages.measurement.discriminant import fornell_larcker
from cxlib.stages.measurement.results import of_fit, with_names
from cxlib.statistics.discriminant import (
    below_diagonal,
    convergent_and_discriminant,
    first_order,
    indicators,
)
from cxlib.study.names import named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem import Fit
    from cxlib.study.schema import Study

__all__ = [
    "cfa",
    "fit_table",
    "fornell_larcker",
    "loadings",
    "method_bias",
    "modification",
    "parameters",
    "plot_loadings",
    "plot_residuals",
    "residuals",
    "validity",
]
FIT_CONVENTIONS = {"cfi": 0.95, "rmsea": 0.06, "srmr": 0.08}
"""At least, at most, at most: Hu & Bentler (1999), doi:10.1080/10705519909540118."""
VALIDITY_CONVENTIONS = {"cr": 0.70, "ave": 0.50}
"""At least: Fornell & Larcker (1981), doi:10.1177/002224378101800104."""
PARAMETERS = "lhs op rhs est se z p ci_low ci_high std"


@stage
def cfa(
    data: pd.DataFrame,
    study: Study,
    model: str = "main",
    estimator: str = "ML",
    missing: str = "listwise",
    rng: np.random.Generator | None = None,
) -> Fit:
    """Fit the measurement part of a model: every construct by its items, all constructs correlated.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, one row a respondent.
    study : Study
        Names the constructs and their items.
    model : str
        Which of the study's models; only the constructs it names enter.
    estimator, missing, rng :
        As in :func:`cxlib.sem.fit`: "ML", "MLR" or "WLSMV"; "listwise", "fiml", "mi" (with rng) or "pairwise".

    Raises
    ------
    Impossible
        The model names no construct of several items.
    ValueError
        There is no such estimator.

    Notes
    -----
    A construct of one item enters as that item, taken as free of error.  R: ``lavaan::cfa(syntax, data)``.
    """
    parts = {
        c: study.constructs[c].of or tuple(study.constructs[c].items)
        for c in study.model_constructs(model)
    }
    latent = [code for code, own in parts.items() if own != (code,)]
    if not any(len(own) > 1 for own in parts.values()):
        raise Impossible(
            _(
                "Model '{model}' of study '{study}' names no construct with two or more items, so there is nothing to measure. Name some of these in it: {names}.",
                model=model,
                study=study.id,
                names=list(study.constructs),
            )
        )
    alone = [code for code in parts if code not in latent]
    observed = [f"{code} ~~ " + " + ".join([*latent, *alone[:at]]) for at, code in enumerate(alone)]
    return sem.fit(
        data,
        "\n".join([study.measurement(model), *observed]),
        estimator=estimator,
        missing=missing,
        rng=rng,
        cluster=study.cluster or None,
    )


@makes("cfa_fit", "measure value")
@makes("cfa_half_fit", "measure value")
@stage
def fit_table(fit: Fit) -> Result:
    """How well the model reproduces the covariances (columns measure, value).

    The sentence speaks of the scaled χ² and the robust indices if the estimator is robust.

    Notes
    -----
    R: ``lavaan::fitMeasures(fit)``.
    """
    table = sem.fit_measures(fit)
    value, scaled = sem.reported(table), fit.estimator != "ML"
    failed = [
        m.upper()
        for m, limit in FIT_CONVENTIONS.items()
        if not (value[m] >= limit if m == "cfi" else value[m] <= limit)
    ]
    said = (
        f"χ²({value['df']:.0f}) = {number(value['chisq'], 2)}, {p_text(value['pvalue'])}; CFI {number(value['cfi'])}, "
        f"RMSEA {number(value['rmsea'])} [{number(value['rmsea_ci_lower'])}, {number(value['rmsea_ci_upper'])}; RMSEA ≤ .05: "
        f"{p_text(value['rmsea_pvalue'])}], SRMR {number(value['srmr'])}"
    )
    met = (
        _(
            "Conventions of Hu and Bentler (1999), CFI ≥ .95, RMSEA ≤ .06, SRMR ≤ .08: not met: {indices}.",
            indices=failed,
        )
        if failed
        else _(
            "Conventions of Hu and Bentler (1999), CFI ≥ .95, RMSEA ≤ .06, SRMR ≤ .08: all three are met."
        )
    )
    numbers = (
        _("{indices} (χ² scaled, CFI and RMSEA robust).", indices=said)
        if scaled
        else _("{indices}.", indices=said)
    )
    return of_fit(fit, table, joined(numbers, met), fit.method)


@makes("cfa_parameters", PARAMETERS)
@stage
def parameters(fit: Fit) -> Result:
    """All parameters (columns lhs, op, rhs, est, se, z, p, ci_low, ci_high, std).

    Notes
    -----
    R: ``lavaan::parameterEstimates(fit, standardized = TRUE)``, std.all.
    """
    table = fit.parameters[PARAMETERS.split()]
    fixed, ordinal = int((fit.model.table["free"] == 0).sum()), fit.estimator == "WLSMV"
    bare = int(table["se"].isna().sum()) - fixed
    estimated = n_(
        "{n:,} parameter estimated",
        "{n:,} parameters estimated",
        len(table) - fixed - bare * ordinal,
    )  # of ordered answers, residual variances follow from the loadings
    if bare and ordinal:
        text = _(
            "{estimated}, {fixed} fixed in advance (such as the first loading of each construct); {bare} residual variances follow from the loadings.",
            estimated=estimated,
            fixed=fixed,
            bare=bare,
        )
    elif bare:
        text = n_(
            "{estimated}, {fixed} fixed in advance (such as the first loading of each construct); {n} of the estimated ones has no standard error of its own.",
            "{estimated}, {fixed} fixed in advance (such as the first loading of each construct); {n} of the estimated ones have no standard error of their own.",
            bare,
            estimated=estimated,
            fixed=fixed,
        )
    else:
        text = _(
            "{estimated}, {fixed} fixed in advance (such as the first loading of each construct).",
            estimated=estimated,
            fixed=fixed,
        )
    return of_fit(fit, table.reset_index(drop=True), joined(text, fit.clustering), fit.method)


@stage
def loadings(fit: Fit) -> Result:
    """Standardised loadings with their intervals (construct, item, std, se, ci_low, ci_high, r2).

    r2 is std², what the construct explains of an item that has no other construct.

    Notes
    -----
    Delta method.  R: ``lavaan::standardizedSolution(fit)``.
    """
    rows = fit.model.table[fit.model.table["op"] == "=~"]
    std = _std_loadings(fit, fit.theta)
    slopes = (
        np.array(
            [_std_loadings(fit, step).imag for step in fit.theta + 1e-30j * np.eye(len(fit.theta))]
        )
        / 1e-30
    )
    se = np.where(
        np.isnan(std),
        np.nan,
        np.sqrt(np.maximum(np.einsum("ai,ab,bi->i", slopes, fit.vcov, slopes), 0)),
    )
    table = pd.DataFrame(
        {
            "construct": rows["lhs"].to_numpy(),
            "item": rows["rhs"].to_numpy(),
            "std": std,
            "se": se,
            "ci_low": std - Z95 * se,
            "ci_high": std + Z95 * se,
            "r2": std**2,
        }
    )
    weak = [
        f"{row['item']} ({number(row['std'], 2)})"
        for row in table[table["std"] < 0.5].to_dict("records")
    ]
    strong, every = int((table["std"] >= 0.5).sum()), len(table)
    return of_fit(
        fit,
        table,
        _(
            "{strong} of {every} standardised loadings are .50 or more; below: {weak}.",
            strong=strong,
            every=every,
            weak=weak,
        )
        if weak
        else _(
            "{strong} of {every} standardised loadings are .50 or more.", strong=strong, every=every
        ),
        _("completely standardised loadings, delta-method standard errors"),
    )


@makes("validity", "construct alpha omega cr ave msv max_htmt")
@stage
def validity(data: pd.DataFrame, study: Study, fit: Fit) -> Result:
    """Reliability and validity a construct (construct, alpha, omega, cr, ave, msv, max_htmt).

    - alpha: Cronbach's (1951) raw alpha, k/(k−1)·(1 − tr S/1'S1), doi:10.1007/BF02310555.
    - omega: Bollen's (1980) omega of the raw sum score, (Σλ)²φ/1'Σ1, with raw λ, doi:10.2307/2095172.
    - cr: composite reliability, the same ratio with standardised loadings (Fornell & Larcker 1981).
    - ave: mean squared standardised loading (Fornell & Larcker 1981), the form of the textbooks;
      ``semTools::AVE`` of raw data weights the items by their variances instead, Σλ²φ/tr S.
    - msv: largest squared correlation with another construct of the model.
    - max_htmt: largest :func:`htmt` with another construct.

    Parameters
    ----------
    data : DataFrame
        The responses `fit` was fitted to.
    study : Study
        For the names.
    fit : Fit
        What :func:`cfa` returned.

    Notes
    -----
    A second-order construct has alpha and omega of all its items, cr and ave of its first-order constructs,
    and no HTMT; a single item has no coefficient.  R: ``psych::alpha(items)``;
    ``semTools::compRelSEM(fit, obs.var = FALSE)``; cr and ave: ``compRelSEM`` and ``AVE`` with
    ``obs.var = FALSE`` of the model fitted to ``scale(data)``.
    """
    rows = data[list(fit.model.observed)].dropna().astype(float)
    table = convergent_and_discriminant(rows, fit)
    method = (
        _(
            "alpha of the answers as numbers; omega, CR and AVE of the continuous answers behind the ordered categories"
        )
        if fit.estimator == "WLSMV"
        else _("alpha and omega of the raw sum score; CR and AVE from standardised loadings")
    )
    return of_fit(
        fit,
        with_names(table),
        _conventions(table, study),
        method,
        *_cautions(table, fit, len(rows)),
    )


@makes("modification_indices", "lhs op rhs mi epc std")
@stage
def modification(fit: Fit, top: int = 20) -> Result:
    """The parameters whose release would improve fit most (lhs, op, rhs, mi, epc, std), largest first.

    mi is the expected fall of χ² (score test), epc the value the parameter would take, std the same standardised.

    Notes
    -----
    R: ``lavaan::modificationIndices(fit, sort. = TRUE)``, sepc.all.
    """
    every = (
        sem.modification_indices(fit)
        .rename(columns={"sepc_all": "std"})
        .replace({"std": [np.inf, -np.inf]}, np.nan)
    )
    text: Text = _("Nothing was left out that could be added.")
    if len(every):
        first = every.iloc[0]
        text = joined(
            _(
                "The largest index is {mi}, for {parameter} (expected standardised value {std}).",
                mi=number(first["mi"], 1),
                parameter=f"{first['lhs']} {first['op']} {first['rhs']}",
                std=number(first["std"], 2),
            ),
            _(
                "Of all {n} indices {large} exceed 3.84, where chance alone would give about {chance}.",
                n=len(every),
                large=int((every["mi"] > 3.84).sum()),
                chance=round(0.05 * len(every)),
            ),
        )
    bare = [
        f"{row.lhs} {row.op} {row.rhs}" for row in every.head(top).itertuples() if np.isnan(row.std)
    ]
    return of_fit(
        fit,
        every.head(top),
        text,
        _("modification indices (score test)"),
        _(
            "These are the largest of many, so a change made because of one also fits this sample's chance (MacCallum et al. 1992, doi:10.1037/0033-2909.111.3.490). Change the model only for a reason that stands without the index, report it, and test it on new data."
        ),
        _(
            "No standardised value for {parameters}: one side has no variance to be correlated.",
            parameters=bare,
        )
        if bare
        else None,
    )


@makes("residuals", "item", open=True)
@stage
def residuals(fit: Fit) -> Result:
    """Correlations of the items less those the model implies (square, first column item).

    Notes
    -----
    R: ``lavaan::lavResiduals(fit, type = "cor")$cov``.
    """
    square = sem.residuals(fit)
    pairs = below_diagonal(square)
    a, b, value = max(pairs, key=lambda pair: abs(pair[2]))
    text = n_(
        "{large} of {n:,} residual correlation exceed .10 in size; the largest is {value} ({a}, {b}).",
        "{large} of {n:,} residual correlations exceed .10 in size; the largest is {value} ({a}, {b}).",
        len(pairs),
        large=sum(abs(pair[2]) > 0.10 for pair in pairs),
        value=number(value, 2),
        a=a,
        b=b,
    )
    return of_fit(
        fit,
        with_names(square, "item"),
        text,
        _("residual correlations (sample less implied)"),
    )


@stage
@theme.picture
def plot_loadings(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Draw :func:`loadings`: one row an item, its interval, the colour of the construct's role."""
    figure = forests.by_construct(
        result.table.rename(columns={"std": "est"}),
        study,
        0.7,
        _("standardised loading, 95% interval")[language],
        language,
    )
    return figure, joined(
        _("Standardised loadings (n = {n:,}).", n=result.n_used),
        _("Left of the dashed line at .70 a construct explains less than half of its item."),
        result.text,
    )


@stage
@theme.picture
def plot_residuals(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Draw :func:`residuals` as a heat map, items grouped by construct."""
    import seaborn
    from matplotlib import pyplot

    square = result.table.set_index("item")
    items, count = [str(item) for item in square], len(square)
    shown = square.where(np.tri(count, k=-1, dtype=bool))
    limit, side = max(0.2, float(np.nanmax(shown.abs()))), max(6.0, 1.5 + 0.21 * count)
    words = shown.map(
        lambda r: number(r, 2).replace("0.", ".") if count <= 20 and abs(r) > 0.10 else ""
    )
    figure, axis = pyplot.subplots(figsize=(side + 1, side))
    bar = axis.inset_axes((0.62, 0.93, 0.36, 0.025))
    seaborn.heatmap(
        shown,
        annot=words,
        fmt="",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        annot_kws={"fontsize": 7},
        square=True,
        ax=axis,
        xticklabels=True,
        yticklabels=True,
        cbar_ax=bar,
        cbar_kws={"orientation": "horizontal"},
    )
    bar.set_xlabel(_("sample − implied correlation")[language], fontsize=9)
    owner = [study.items.get(item, item) for item in items]
    for code in dict.fromkeys(owner):
        first, last, colour = (
            owner.index(code),
            count - owner[::-1].index(code),
            theme.ROLES[study.role(code)],
        )
        axis.plot([first, first, last], [first, last, last], color=colour, lw=1.5)
        axis.text(
            (first + last) / 2 + 1,
            (first + last) / 2,
            study.name(code, language),
            color=colour,
            weight="bold",
            va="center",
        )
    axis.set(xlabel="", ylabel="")
    axis.grid(visible=False)
    axis.tick_params(labelsize=8 if count <= 25 else 6.5)
    return figure, joined(
        _("Residual correlations (n = {n:,}).", n=result.n_used),
        _("Red: two items go together more than the model says; blue: less."),
        result.text,
    )


def _conventions(table: pd.DataFrame, study: Study) -> Sentence:
    """Which constructs fall short of the conventions for CR and AVE, and whose MSV exceeds AVE."""
    said = []
    for name, limit in VALIDITY_CONVENTIONS.items():
        short, least = table[name][table[name] < limit], f"{limit:.2f}"[1:]
        low = [
            _("{name} ({value})", name=named(study, str(code)), value=number(value, 2))
            for code, value in short.items()
        ]
        said.append(
            _(
                "{coefficient} is below {limit} for {names}.",
                coefficient=name.upper(),
                limit=least,
                names=low,
            )
            if low
            else _(
                "{coefficient} is {limit} or more for every construct.",
                coefficient=name.upper(),
                limit=least,
            )
        )
    if over := [named(study, code) for code in table.index[table["msv"] > table["ave"]]]:
        said.append(
            _(
                "MSV exceeds AVE (its items say less about it than another construct does) for {names}.",
                names=over,
            )
        )
    return joined(*said)


def _cautions(table: pd.DataFrame, fit: Fit, complete: int) -> list[Sentence]:
    """Where a coefficient is missing, or rests on less than it seems to."""
    own, first = indicators(fit), first_order(fit)
    notes: list[Sentence] = []
    if one := [c for c in own if len(own[c]) == 1]:
        notes.append(
            n_(
                "{names} has one item: no reliability can be estimated, the model takes it as free of error.",
                "{names} have one item each: no reliability can be estimated, the model takes it as free of error.",
                len(one),
                names=one,
            )
        )
    if two := [c for c in own if len(own[c]) == 2]:
        notes.append(
            n_(
                "{names} has two items: alpha rests on one correlation, and the loadings are told apart only by other constructs.",
                "{names} have two items each: alpha rests on one correlation, and the loadings are told apart only by other constructs.",
                len(two),
                names=two,
            )
        )
    if second := [c for c in own if c not in first]:
        notes.append(
            n_(
                "{names} is of second order: it shares items with its parts and has no HTMT.",
                "{names} are of second order: they share items with their parts and have no HTMT.",
                len(second),
                names=second,
            )
        )
    if fit.missing in ("fiml", "mi"):
        notes.append(_("Alpha and HTMT rest on the {n} complete rows.", n=complete))
    if lone := list(table.index[table["msv"].isna()]):
        notes.append(
            n_(
                "{names} has no other construct to be compared with: no MSV.",
                "{names} have no other construct to be compared with: no MSV.",
                len(lone),
                names=lone,
            )
        )
    return notes


def _std_loadings(fit: Fit, theta: np.ndarray) -> np.ndarray:
    """Standardised loadings at the free numbers `theta` (complex for a derivative)."""
    at, model = fit.discrepancy().point(theta, 0), fit.model
    with np.errstate(invalid="ignore"):
        sd = dict(zip(model.observed, np.sqrt(np.diag(at.sigma)), strict=True))
        sd |= dict(zip(model.state, np.sqrt(np.diag(at.phi)), strict=True))
    return np.array(
        [
            (theta[row.free - 1] if row.free else row.value) * sd[row.lhs] / sd[row.rhs]
            for row in model.table[model.table["op"] == "=~"].itertuples()
        ]
    )
