"""Latent moderation: does the slope of one construct on another depend on a third?

Y = γ₁X + γ₂W + γ₃XW + … + ζ, all latent: the slope of X is γ₁ + γ₃W.  The latent product is measured by products of
items, double mean-centred so that the model needs no means, its loadings free (unconstrained approach: Marsh, Wen &
Hau 2004, doi:10.1037/1082-989X.9.3.275; Lin, Wen, Marsh & Lin 2010, doi:10.1080/10705511.2010.488999); or factor
scores are multiplied, in two stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import reason, stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, Text, makes, together
from cxlib.core.words import Sentence, _, c_, joined, listed, number, p_text
from cxlib.sem.result import Z95, tested
from cxlib.statistics.interaction import (
    Paths,
    by_products,
    by_scores,
    measurement,
    path_table,
    products,
    slopes,
    stretches,
    strongest_first,
)
from cxlib.statistics.structural import regression_scores
from cxlib.study.names import named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

PATHS = "outcome predictor est se z p ci_low ci_high std delta_r2"
SLOPES = "at moderator est se z p ci_low ci_high std"
STRETCHES = "low high low_sd high_sd significant sign share"
CLOSE = 0.8
"""Correlation of X and W from which their product is hard to tell from the square of either (our convention; the
problem: MacCallum & Mar 1995, doi:10.1037/0033-2909.118.3.405)."""
NONE = _("No outcome of the model has two predictors with items, so no interaction was tested.")
DOUBT = _("The solution cannot be trusted, so nothing is said about the interaction.")


@dataclass(frozen=True, kw_only=True)
class How:
    """How an interaction is estimated: the options of :func:`interaction`."""

    method: Literal["product", "two_stage"]
    match: bool
    estimator: Literal["MLR", "ML"]
    rng: np.random.Generator | None
    n_boot: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Interaction(Result):
    """The paths of a model with an interaction, and what slopes and figure need; without rows if none was tested.

    slope, vcov : slope of X at the mean of W and its change per unit of W, (2,), and their covariances, (2, 2)
    mean, sd : of W, in the units of its item with the strongest loading (NaN: none was estimated, or its variance is
        negative, and there are no slopes); values : W of every respondent used, by factor scores
    scale : sd of X / sd of Y; words : code → its name; fit : the model (two stages: the measurement model)
    """

    outcome: str = ""
    predictor: str = ""
    moderator: str = ""
    words: Mapping[str, Text] = field(default_factory=dict, repr=False)
    slope: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    vcov: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    values: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    mean: float = np.nan
    sd: float = np.nan
    scale: float = np.nan
    fit: sem.Fit | None = field(default=None, repr=False)

    @property
    def trustworthy(self) -> bool:
        """Whether anything may be said about the interaction."""
        return self.fit is not None and self.fit.trustworthy

    @property
    def names(self) -> tuple[Text, Text, Text]:
        """The words for X, W and Y."""
        x, w, y = (self.words[c] for c in (self.predictor, self.moderator, self.outcome))
        return x, w, y

    def at(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope of X and its standard error where W is `w` units from its mean."""
        return slopes(self.slope, self.vcov, w)


def candidates(data: pd.DataFrame, study: Study, model: str = "main") -> pd.DataFrame:
    """The predictors of one outcome in a model, strongest first (outcome, predictor, std); empty if none has two.

    The outcome is the satisfaction with most predictors, else the construct with most; second-order ones do not count.
    """
    table = sem.fit(data, study.syntax(model)).parameters.rename(
        columns={"lhs": "outcome", "rhs": "predictor"}
    )
    plain = {code for code, construct in study.constructs.items() if construct.items}
    paths = table[
        (table["op"] == "~") & table["outcome"].isin(plain) & table["predictor"].isin(plain)
    ]
    many = paths["outcome"].value_counts(sort=False).loc[lambda count: count > 1]
    best = max(
        many.index, key=lambda code: (study.role(code) == "satisfaction", many[code]), default=""
    )
    paths = paths[paths["outcome"] == best].sort_values(
        "std", key=lambda std: -std.abs(), kind="stable"
    )
    return paths[["outcome", "predictor", "std"]].reset_index(drop=True)


@makes("interaction", PATHS)
@makes("interaction_two_stage", PATHS)
def interaction(
    data: pd.DataFrame,
    study: Study,
    outcome: str = "",
    predictor: str = "",
    moderator: str = "",
    *,
    covariates: Sequence[str] = (),
    method: Literal["product", "two_stage"] = "product",
    match: bool = True,
    estimator: Literal["MLR", "ML"] = "MLR",
    model: str = "main",
    rng: np.random.Generator | None = None,
    n_boot: int = 1000,
) -> Interaction:
    """Estimate whether the slope of `predictor` on `outcome` depends on `moderator`.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, one row a respondent; rows with a missing value in a variable used are left out.
    study : Study
    outcome, predictor, moderator : str
        Constructs with items, or numeric columns (taken as measured without error).  All three empty: the outcome and
        the two strongest predictors of :func:`candidates` in `model`, the others as covariates.
    covariates : sequence of str
        Further predictors of the outcome.
    method : {"product", "two_stage"}
        Product indicators in one model, or regression on factor scores.
    match : bool
        The items of X and W with the strongest loadings make the first product, the next ones the second, and so on;
        what is left of the longer scale is in no product (Wu, Wen, Marsh & Hau 2013, doi:10.1080/10705511.2013.824772).
        False, or a single item on one side: all pairs, and residuals of products that share an item covary (Foldnes &
        Hagtvet 2014, doi:10.1037/a0035728).
    estimator : {"MLR", "ML"}
        Of the product model.  Products are not normal even where items are; hence robust errors by default.
    model : str
        For the automatic choice.
    rng, n_boot : numpy Generator, int
        For two stages: standard errors from `n_boot` bootstrap samples of both stages (of whole clusters, if the study
        declares them).

    Returns
    -------
    Interaction
        outcome, predictor ("X:W" is the interaction), est, se, z, p, ci_low, ci_high, std, delta_r2 (how much R² falls
        without the row).  Units are those of each construct's item with the strongest loading.

    Raises
    ------
    Impossible
        A variable is unknown, has no items or is given twice, the method is unknown, or two stages are given no `rng`.
    ModelError, DataError
        The model is not identified, or the data cannot be used for it (if chosen automatically: an empty result).

    Notes
    -----
    std of the interaction is γ₃·sd(X)·sd(W)/sd(Y), not that of a product made a z-score (Wen, Marsh & Hau 2010,
    doi:10.1080/10705510903438872).  Two stages: for normal X, W and errors E(Y | items of X and W) is γ₁x̂ + γ₂ŵ + γ₃x̂ŵ and
    a constant, x̂ and ŵ regression scores, so regressing Bartlett's scores of Y on them is consistent (Skrondal &
    Laake 2001, doi:10.1007/BF02296196, carried over to the product).
    R: ``sem("X =~ …; W =~ …; Y =~ …; XW =~ x1.w1 + …; Y ~ X + W + XW", indProd(data, …), estimator = "MLR")``.
    """
    if method not in ("product", "two_stage"):
        raise Impossible(
            _("method='{method}' is unknown. Use 'product' or 'two_stage'.", method=method)
        )
    if method == "two_stage" and rng is None:
        raise Impossible(
            _(
                "method='two_stage' takes its standard errors from bootstrap samples of both stages. Give rng=."
            )
        )
    how = How(method=method, match=match, estimator=estimator, rng=rng, n_boot=n_boot)
    if outcome or predictor or moderator:
        return _estimated(data, study, (outcome, predictor, moderator, *covariates), how)
    strong = candidates(data, study, model)
    if strong.empty:
        return Interaction(table=pd.DataFrame(columns=PATHS.split()), text=NONE, n_used=0)
    causes = list(dict.fromkeys([*strong["predictor"], *covariates]))
    try:
        return _estimated(data, study, (strong["outcome"][0], *causes), how)
    except (sem.ModelError, sem.DataError) as error:
        return Interaction(
            table=pd.DataFrame(columns=PATHS.split()),
            n_used=0,
            text=_(
                "The interaction of {first} and {second} cannot be estimated: {why}",
                first=causes[0],
                second=causes[1],
                why=reason(error),
            ),
        )


@makes("latent_slopes", SLOPES)
@stage
def simple_slopes(result: Interaction, at: Iterable[float] = (-1, 0, 1)) -> Result:
    """Slopes of X where W is `at` standard deviations from its mean (at, moderator, est, se, z, p, ci_low, ci_high, std).

    Notes
    -----
    γ₁ + γ₃w with variance v₁₁ + 2w·v₁₃ + w²·v₃₃, w taken as given (Aiken & West 1991).
    R: ``semTools::probe2WayMC(fit, c("X", "W", "XW"), "Y", "W", sd * at)``.
    """
    if np.isnan(result.sd):
        return Result(
            pd.DataFrame(columns=SLOPES.split()),
            result.text,
            result.n_used,
            warnings=result.warnings,
        )
    places = np.asarray(list(at), float)
    est, se = result.at(places * result.sd)
    table = tested(pd.DataFrame({"est": est, "se": se})).assign(
        at=places, moderator=result.mean + places * result.sd
    )
    table["std"] = table["est"] * result.scale
    x, w, y = result.names
    said = [
        _(
            "{std} at {place} ({p})",
            std=number(row["std"], 2),
            place=f"{row['at']:+g}".replace("-", "−").replace("+0", "0"),
            p=p_text(row["p"]),
        )
        for row in table.to_dict("records")
    ]
    text = _(
        "Standardised slope of {x} on {y}, by standard deviations of {w} from its mean: {slopes}.",
        x=x,
        y=y,
        w=w,
        slopes=said,
    )
    return Result(
        table[SLOPES.split()],
        text if result.trustworthy else DOUBT,
        result.n_used,
        _("simple slopes, delta method"),
        result.warnings,
    )


@makes("johnson_neyman", STRETCHES)
@stage
def johnson_neyman(result: Interaction) -> Result:
    """Where along the moderator the slope of X differs from zero, and which share of the respondents is there.

    Returns
    -------
    Result
        One row a stretch of the moderator, ascending: low, high (units of its item with the strongest loading, ±inf at
        the ends), low_sd, high_sd (from its mean), significant, sign ("+", "-", or "" if not significant), share.

    Notes
    -----
    Johnson & Neyman (1936); see :func:`bounds`.  Shares go by factor scores, stretched to the sd of the moderator.
    R: ``interactions::johnson_neyman(lm(y ~ x * w), x, w)`` for observed variables, up to t for z.
    """
    if np.isnan(result.sd):
        return Result(
            pd.DataFrame(columns=STRETCHES.split()),
            result.text,
            result.n_used,
            warnings=result.warnings,
        )
    table = stretches(result.slope, result.vcov, result.values, result.mean, result.sd)
    return Result(
        table,
        _where(result, table) if result.trustworthy else DOUBT,
        result.n_used,
        _("Johnson-Neyman, 95% confidence"),
        result.warnings,
    )


@stage
@theme.picture
def plot_interaction(
    result: Interaction, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """Johnson–Neyman figure: slope of X against W with its band and bounds; below, where the respondents are."""
    from matplotlib import pyplot

    if np.isnan(result.sd):
        figure = pyplot.figure(figsize=(6, 1))
        figure.text(0.5, 0.5, "—", ha="center")
        return figure, result.text
    found, z = johnson_neyman(result), (result.values - result.mean) / result.sd
    left, right = min(z.min(), -2), max(z.max(), 2)
    figure, (axes, people) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7.5, 4.8), height_ratios=(4, 1)
    )
    colour = (
        theme.ROLES[study.role(result.predictor)]
        if result.predictor in study.constructs
        else theme.INK
    )
    _band(axes, result, found.table, (left, right), colour)
    edges = found.table["low_sd"].to_numpy()[1:]
    _marked(axes, edges[(edges > left) & (edges < right)], language)
    people.hist(z, bins=30, range=(left, right), color=theme.MUTED, linewidth=0)
    people.set_yticks([])
    people.grid(visible=False)
    x, w, y = (named(study, code) for code in (result.predictor, result.moderator, result.outcome))
    axes.set_ylabel(
        theme.fold(_("slope of {x} on {y}", x=x, y=y)[language], 36), linespacing=theme.LEADING
    )
    people.set_xlabel(
        theme.fold(_("{w} (standard deviations from its mean)", w=w)[language], 72),
        linespacing=theme.LEADING,
    )
    return figure, joined(
        _(
            "Slope with its 95% band, n = {n:,}: dashed and grey where the band holds zero, dotted lines where that begins or ends; below, the respondents.",
            n=result.n_used,
        ),
        found.text,
    )


def _band(
    axes: Axes, result: Interaction, table: pd.DataFrame, ends: tuple[float, float], colour: str
) -> None:
    """The slope along the moderator, grey and dashed where it does not differ from zero."""
    for row in table.to_dict("records"):
        at = np.linspace(max(row["low_sd"], ends[0]), min(row["high_sd"], ends[1]), 200)
        if at[0] < at[-1]:
            est, se = result.at(at * result.sd)
            tone, line = (colour, "-") if row["significant"] else (theme.MUTED, "--")
            axes.fill_between(
                at, est - Z95 * se, est + Z95 * se, color=tone, alpha=0.2, linewidth=0
            )
            axes.plot(at, est, color=tone, linewidth=2, linestyle=line)
    axes.axhline(0, color=theme.MUTED, linewidth=1)


def _marked(axes: Axes, bounds: np.ndarray, language: str) -> None:
    """Dotted lines at the bounds, their places above."""
    sides = ("right", "left") if len(bounds) == 2 else ("center",)
    for place, side in zip(bounds, sides, strict=False):
        axes.axvline(place, color=theme.INK, linewidth=1, linestyle=":")
        axes.annotate(
            _("{place} SD", place=number(place, 2))[language],
            (place, 1),
            (0, 4),
            fontsize=9,
            ha=side,
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
        )


def _estimated(data: pd.DataFrame, study: Study, codes: Sequence[str], how: How) -> Interaction:
    """The paths of X, W, XW and covariates on Y; `codes` are Y, X, W and the covariates."""
    outcome, predictor, moderator, *covariates = codes
    frame, items = _variables(data, study, codes, how)
    measured = sem.fit(frame, measurement(items))
    items = strongest_first(items, measured)
    names = (predictor, moderator, f"{predictor}.{moderator}", *covariates)
    words = {code: named(study, code) for code in codes}
    lost = _(
        "{lost} of {n} rows have a missing value in a variable used and were left out.",
        lost=len(data) - len(frame),
        n=len(data),
    )
    if how.method == "product":
        found, method, notes = _by_products(frame, items, codes, study, how)
    else:
        found, method, notes = _by_scores(frame, items, names, study, how)
    with np.errstate(invalid="ignore"):
        sd = pd.Series(np.sqrt(np.diag(found.phi)), found.phi.index)
    sd[names[2]] = sd[predictor] * sd[moderator]
    r = found.phi.loc[predictor, moderator] / sd[names[2]]
    close = _(
        "{x} and {w} correlate {r}: an interaction can then hardly be told from a curved effect of either.",
        x=words[predictor],
        w=words[moderator],
        r=number(r, 2),
    )
    table = path_table(found, names, sd, outcome).assign(
        outcome=outcome, predictor=[*names[:2], f"{predictor}:{moderator}", *covariates]
    )
    mean, values = (
        float(frame[items[moderator][0]].mean()),
        regression_scores(measured, frame)[moderator],
    )
    shown = Interaction(
        table=table[PATHS.split()],
        text=DOUBT,
        n_used=len(frame),
        method=method,
        warnings=together(
            lost if len(frame) < len(data) else None,
            found.fit.warnings,
            *notes,
            close if abs(r) >= CLOSE else None,
        ),
        outcome=outcome,
        words=words,
        predictor=predictor,
        moderator=moderator,
        slope=found.est[[0, 2]],
        vcov=found.vcov[np.ix_([0, 2], [0, 2])],
        mean=mean,
        sd=float(sd[moderator]),
        values=mean + (values / values.std(ddof=0) * sd[moderator]).to_numpy(),
        scale=float(sd[predictor] / sd[outcome]),
        fit=found.fit,
    )
    return replace(shown, text=_said(shown)) if shown.trustworthy else shown


def _variables(
    data: pd.DataFrame, study: Study, codes: Sequence[str], how: How
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The complete rows of all items, and the items of each variable."""
    items = {code: _items(data, study, code) for code in codes}
    every = [item for code in codes for item in items[code]]
    if len(set(every)) < len(every):
        raise Impossible(
            _("Of {names} two are the same or share an item. Give different ones.", names=codes)
        )
    # a factor and its item need two names
    alone = {code: f"{code}.observed" for code in codes if items[code] == [code]}
    whole = [study.cluster] if study.cluster and how.method == "two_stage" else []
    frame = data[list(dict.fromkeys([*every, *whole]))].dropna().rename(columns=alone)
    return frame, {code: [alone.get(item, item) for item in own] for code, own in items.items()}


def _by_products(
    frame: pd.DataFrame,
    items: dict[str, list[str]],
    codes: Sequence[str],
    study: Study,
    how: How,
) -> tuple[Paths, Sentence, list[Sentence]]:
    """The paths by product indicators, how that was done, and what a reader must know."""
    outcome, predictor, moderator, *covariates = codes
    pairs = min(len(items[predictor]), len(items[moderator]))
    match = how.match and pairs > 1
    first, second = (
        items[code][:pairs] if match else items[code] for code in (predictor, moderator)
    )
    found = by_products(
        frame,
        items,
        products(frame, first, second, match),
        outcome,
        (predictor, moderator, f"{predictor}.{moderator}", *covariates),
        how.estimator,
    )
    notes = [
        _(
            "The products leave out {left} of the {n} items of {name}, by loading the weakest; match=False uses all.",
            left=len(items[code]) - pairs,
            n=len(items[code]),
            name=named(study, code),
        )
        for code in (predictor, moderator)
        if match and len(items[code]) > pairs
    ]
    if study.cluster:
        notes.append(
            _(
                "Standard errors take respondents of one {cluster} as independent; method='two_stage' with rng= resamples whole clusters.",
                cluster=study.cluster,
            )
        )
    method = (
        _(
            "product indicators (matched pairs, double mean-centred), {method}",
            method=found.fit.method,
        )
        if match
        else _(
            "product indicators (all pairs, double mean-centred), {method}", method=found.fit.method
        )
    )
    return found, method, notes


def _by_scores(
    frame: pd.DataFrame,
    items: dict[str, list[str]],
    names: Sequence[str],
    study: Study,
    how: How,
) -> tuple[Paths, Sentence, list[Sentence]]:
    """The paths in two stages, how that was done, and what a reader must know."""
    assert how.rng is not None  # interaction() asks for it
    fit = sem.fit(frame, measurement(items))
    found = by_scores(frame, fit, names, study.cluster, how.rng, how.n_boot)
    doubtful = _(
        "Of {n:,} draws {failed} found no optimum and were left out, {improper} are improper and kept.",
        n=how.n_boot,
        failed=found.failed,
        improper=found.improper,
    )
    method = _(
        "two stages: regression on factor scores, standard errors of both from {n:,} bootstrap samples",
        n=how.n_boot,
    )
    return found, method, [doubtful] if found.failed or found.improper else []


def _items(data: pd.DataFrame, study: Study, code: str) -> list[str]:
    """The items of a construct, or a column as its own item."""
    construct = study.constructs.get(code)
    if construct is None and code not in data.columns:
        raise Impossible(
            _(
                "'{outcome}' is neither a construct nor a column. Constructs: {names}.",
                outcome=code,
                names=list(study.constructs),
            )
        )
    if construct is not None and not construct.items:
        raise Impossible(
            _(
                "'{code}' has no items of its own to be multiplied. Use one of its parts: {parts}.",
                code=code,
                parts=construct.of,
            )
        )
    return [code] if construct is None else list(construct.items)


def _said(result: Interaction) -> Sentence:
    """What the interaction says, from its row."""
    row, (x, w, y) = result.table.iloc[2], result.names
    values = {
        "x": x,
        "w": w,
        "y": y,
        "p": p_text(row["p"]),
        "gain": f"{row['delta_r2'] * 100:.1f}%",
        "std": number(row["std"], 2),
        "size": number(abs(row["std"]), 2),
    }
    if row["p"] >= 0.05:
        return _(
            "There is no clear evidence that the slope of {x} on {y} depends on {w} (standardised interaction {std}, {p}; {gain} of the variance).",
            **values,
        )
    if row["std"] > 0:
        return _(
            "With each standard deviation more of {w}, the standardised slope of {x} on {y} is {size} higher ({p}); the interaction explains {gain} of the variance.",
            **values,
        )
    return _(
        "With each standard deviation more of {w}, the standardised slope of {x} on {y} is {size} lower ({p}); the interaction explains {gain} of the variance.",
        **values,
    )


def _where(result: Interaction, table: pd.DataFrame) -> Sentence:
    """Where the slope differs from zero among the respondents; a bound beyond them is none."""
    x, w, _y = result.names
    said = [
        _stretch(row["sign"], row["low"], row["high"], row["share"], result.values)
        for row in table[table["significant"] & (table["share"] > 0)].to_dict("records")
    ]
    if not said:
        return _("The slope of {x} differs from zero at no level of {w} that occurs.", x=x, w=w)
    if len(said) == 1:
        return _("Along {w}, the slope of {x} is {where}.", w=w, x=x, where=said[0])
    return _(
        "Along {w}, the slope of {x} is {first} and {second}.",
        w=w,
        x=x,
        first=said[0],
        second=listed(said[1:]),
    )


def _stretch(sign: str, low: float, high: float, share: float, values: np.ndarray) -> Sentence:
    """Sign and place of one stretch of the moderator, of which `values` occur."""
    open_low, open_high = low <= values.min(), high > values.max()
    said = {
        "sign": c_("slope", "positive") if sign == "+" else c_("slope", "negative"),
        "low": number(low, 2),
        "high": number(high, 2),
        "share": f"{share * 100:.0f}%",
    }
    if open_low and open_high:
        return _("{sign} at every level that occurs ({share} of the respondents)", **said)
    if open_low:
        return _("{sign} below {high} ({share} of the respondents)", **said)
    if open_high:
        return _("{sign} above {low} ({share} of the respondents)", **said)
    return _("{sign} between {low} and {high} ({share} of the respondents)", **said)
