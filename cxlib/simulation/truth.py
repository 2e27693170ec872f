"""The population a simulated study declares under `truth:`, checked and worked out.

It is standardised: every construct has variance 1, so the paths, loadings and correlations written in the study file
are what a fit to an endless sample shows in its column ``std``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError
from scipy.special import ndtr

from cxlib.core.errors import TruthError
from cxlib.core.syntax import ModelSyntaxError
from cxlib.core.syntax import read as terms_of
from cxlib.core.words import Sentence, _, joined
from cxlib.simulation.draws import Declared, Draw
from cxlib.simulation.spoil import KINDS
from cxlib.study.checks import explain
from cxlib.study.schema import Study

if TYPE_CHECKING:
    Fault = str
else:  # the kinds are known only when the faults are, so they are for pydantic alone
    Fault = Literal[tuple(KINDS)]


class Lift(Declared):
    """A group whose 0–100 score of a construct is `by` (0.12: 12 %) higher than that of the rest of `within`."""

    of: str
    when: str
    within: str = ""
    by: float


class Moderation(Declared):
    """A path that is `by` steeper where `when` holds; the declared path is the average one."""

    path: str
    when: str
    by: float


class Events(Declared):
    """A linked table with several rows a respondent."""

    per: Draw
    when: str = ""
    columns: dict[str, Draw]


class Truth(Declared):
    """The population of a simulated study, as declared under `truth:`."""

    n: int
    seed: int
    size: int = 1
    icc: float = 0.0
    sd: float = 1.0
    paths: str
    loadings: dict[str, float | list[float]] = Field({})
    means: dict[str, float | list[float]] = Field({})
    lifts: tuple[Lift, ...] = ()
    moderation: tuple[Moderation, ...] = ()
    columns: dict[str, Draw] = Field({})
    tables: dict[str, Events] = Field({})
    missing: float = (
        0.0  # share of the items' cells, all with a share `missing_among` of the respondents
    )
    missing_among: float = 1.0
    missing_times: dict[str, float] = Field({})
    planted: dict[Fault, float] = Field({})


@dataclass(frozen=True)
class Population:
    """What a truth implies.

    paths : outcome, predictor, value (standardised); order : constructs, causes before effects; total : their total
    effects, outcome × cause, with 1 on the diagonal; disturbances, latent : covariances of the disturbances and of
    the constructs; items : construct, loading (standardised), mean (before rounding), low, high (the scale), and
    rounded, spread, slope of the answers (see :func:`rounded_moments`).
    """

    truth: Truth
    paths: pd.DataFrame
    order: tuple[str, ...]
    total: pd.DataFrame
    disturbances: pd.DataFrame
    latent: pd.DataFrame
    items: pd.DataFrame

    def covariance(self, rounded: bool = False) -> pd.DataFrame:
        """Correlations of the items, reverse ones turned round; `rounded`: to the scale, which lowers the loadings.

        The correlation of rounded answers is taken as linear in that behind them (its first Hermite term).
        """
        items = self.items
        loadings = items["loading"] * (items["slope"] / items["spread"] if rounded else 1)
        full = self.latent.loc[items["construct"], items["construct"]].to_numpy() * np.outer(
            loadings, loadings
        )
        np.fill_diagonal(full, 1.0)
        return pd.DataFrame(full, items.index, items.index)

    def score(self, codes: tuple[str, ...]) -> tuple[float, pd.Series]:
        """Expected 0–100 score (mean of the means of constructs or items, rescaled); its slope on every construct."""
        mean, slopes = 0.0, pd.Series(0.0, list(self.order))
        for code in codes:
            own = self.items[(self.items["construct"] == code) | (self.items.index == code)]
            points = 100 / (own["high"] - own["low"]) / len(own) / len(codes)
            mean += float((points * (own["rounded"] - own["low"])).sum())
            slopes[own["construct"].iloc[0]] += (points * own["loading"] * own["slope"]).sum()
        return mean, slopes


def read(study: Study) -> Truth:
    """The truth of a study, checked.

    Raises
    ------
    TruthError
        The study declares none, or it has mistakes; all are listed.
    """
    if study.truth is None:
        raise TruthError(
            _(
                "The study '{study}' declares no truth:, so nothing can be drawn. Simulated studies do; see data/vas/study.yml.",
                study=study.id,
            )
        )
    try:
        return Truth.model_validate(study.truth)
    except ValidationError as errors:
        lines = [_("  {message}", message=_mistake(error)) for error in errors.errors()]
        raise TruthError(
            joined(_("The declared truth has mistakes:"), *lines, between="\n")
        ) from None


def _mistake(error: Mapping[str, Any]) -> Sentence:
    """A mistake of the declaration in our words, with its place below truth:."""
    place = ("truth", *error["loc"])
    own = error.get("ctx", {}).get("error")
    if isinstance(own, TruthError):
        return _("{where}: {problem}", where=".".join(map(str, place)), problem=own.sentence)
    return explain({**error, "loc": place}, Truth)


def population(study: Study) -> Population:
    """The population a study declares: each disturbance is as large as makes its construct's variance 1.

    Raises
    ------
    TruthError
        An unknown construct, a circle of paths, disturbance correlations that cannot be, or paths that would
        give a construct a variance above 1.

    Notes
    -----
    With η = Aζ, corr(ζ) = R and a new construct η = b'η₀ + sζ: s² + 2s·b'A₀r + b'A₀RA₀'b = 1.
    """
    declared = read(study)
    relations = list(_relations(declared.paths))
    named = dict.fromkeys(code for left, _, right, _ in relations for code in (left, right))
    if unknown := [code for code in named if code not in study.constructs]:
        raise TruthError(
            _(
                "truth.paths: there is no construct '{name}'. Known: {names}.",
                name=unknown[0],
                names=list(study.constructs),
            )
        )
    turned = [
        (right, op, left, value) if op == "=~" else (left, op, right, value)
        for left, op, right, value in relations
    ]
    paths = [(effect, cause, value) for effect, op, cause, value in turned if op != "~~"]
    order = _sorted([code for code in study.constructs if code in named], paths)
    r = pd.DataFrame(np.eye(len(order)), order, order)
    for left, op, right, value in relations:
        if op == "~~":
            r.loc[left, right] = r.loc[right, left] = value
    if (lowest := np.linalg.eigvalsh(r).min()) <= 0:
        raise TruthError(
            _(
                "truth.paths: the correlations of the disturbances (~~) contradict one another: their matrix has an eigenvalue of "
                "{lowest:.3f}, which must be above 0. Lower some of them.",
                lowest=lowest,
            )
        )
    a, sd = pd.DataFrame(0.0, order, order), pd.Series(1.0, order)
    for code in order:
        a.loc[code] = sum(
            (value * a.loc[cause] for effect, cause, value in paths if effect == code), a.loc[code]
        )
        explained, shared = a.loc[code] @ r @ a.loc[code], r.loc[code] @ a.loc[code]
        if (root := shared**2 + 1 - explained) <= 0 or (s := -shared + math.sqrt(root)) <= 0:
            raise TruthError(
                _(
                    "truth.paths: the paths to {code} already give it a variance of {explained:.3f}; standardised, all of it is 1. Make "
                    "them smaller.",
                    code=code,
                    explained=explained,
                )
            )
        a.loc[code, code] = sd[code] = s
    items = _items(study, declared)
    if unplaced := sorted(set(study.scales) - set(order)):
        raise TruthError(
            _(
                "truth.paths: nothing is said of {names}. Give each a path, or write '{name} ~~ 0*{first}'.",
                names=unplaced,
                name=unplaced[0],
                first=order[0],
            )
        )
    table = pd.DataFrame(paths, columns=["outcome", "predictor", "value"])
    return Population(
        declared, table, tuple(order), a / sd, r * np.outer(sd, sd), a @ r @ a.T, items
    )


def _relations(text: str) -> Iterator[tuple[str, str, str, float]]:
    """(left, operator, right, number) of every term of the path text."""
    try:
        terms = terms_of(text)
    except ModelSyntaxError as error:
        raise TruthError(_("truth.paths: {problem}", problem=error.sentence)) from None
    for term in terms:
        if term.value is None:
            raise TruthError(
                _(
                    "truth.paths: '{term}' cannot be read. Write 'outcome ~ .30*predictor + .20*predictor', 'whole =~ .7*part' or "
                    "'a ~~ .2*b', each term with its number.",
                    term=f"{term.lhs} {term.op} {term}",
                )
            )
        yield term.lhs, term.op, term.rhs, term.value


def _sorted(known: list[str], paths: list[tuple[str, str, float]]) -> list[str]:
    """Causes before effects."""
    order: list[str] = []
    while waiting := [code for code in known if code not in order]:
        held = {effect for effect, cause, _ in paths if cause in waiting}
        if held >= set(waiting):
            raise TruthError(
                _("truth.paths: {names} form a circle. Take one path out.", names=waiting)
            )
        order += [code for code in waiting if code not in held]
    return order


def _items(study: Study, declared: Truth) -> pd.DataFrame:
    """What is known of every item: its numbers from one or a list a construct."""
    rows = {}
    for code, items in study.scales.items():
        each = []
        for given, default in ((declared.loadings, 0.75), (declared.means, sum(study.scale) / 2)):
            values = given.get(code, default)
            each.append(values if isinstance(values, list) else [values] * len(items))
            if len(each[-1]) != len(items):
                raise TruthError(
                    _(
                        "truth: {code} has {items} items but {numbers} numbers. Give one an item, or one for all.",
                        code=code,
                        items=len(items),
                        numbers=len(each[-1]),
                    )
                )
        for item, loading, mean in zip(items, *each, strict=True):
            scale = study.scale_of(item)
            rows[item] = (code, loading, mean, *scale, *rounded_moments(mean, declared.sd, scale))
    names = ["construct", "loading", "mean", "low", "high", "rounded", "spread", "slope"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    if len(beyond := table.index[table["loading"].abs() >= 1]):
        raise TruthError(
            _(
                "truth.loadings: {names}: a standardised loading lies between -1 and 1. Correct it.",
                names=beyond,
            )
        )
    return table


def rounded_moments(
    mean: float, sd: float, scale: tuple[float, float]
) -> tuple[float, float, float]:
    """Mean and standard deviation of a normal number rounded to a scale, and the slope of the mean on its z.

    Notes
    -----
    With aₖ = Φ((mean − k + ½)/sd) for the answers k above the lowest: mean = lowest + Σ aₖ and
    slope = Σ φ((mean − k + ½)/sd).
    """
    steps = np.arange(1, scale[1] - scale[0] + 1)
    z = (mean - scale[0] - steps + 0.5) / sd
    above = ndtr(z)
    expected = float(above.sum())
    spread = math.sqrt(float(((2 * steps - 1) * above).sum()) - expected**2)
    return scale[0] + expected, spread, float(np.exp(-(z**2) / 2).sum()) / math.sqrt(2 * math.pi)
