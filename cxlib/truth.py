"""The population a simulated study declares under `truth:`, checked and worked out.

It is standardised: every construct has variance 1, so the paths, loadings and correlations written in the study file
are what a fit to an endless sample shows in its column ``std``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError
from scipy.special import ndtr

from cxlib.draws import Declared, Draw
from cxlib.spoil import KINDS
from cxlib.study import Study


class TruthError(ValueError):
    """The declared population cannot exist, or cannot be drawn; the message says where and what to change."""


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
    missing: float = 0.0  # share of the items' cells, all with a share `missing_among` of the respondents
    missing_among: float = 1.0
    missing_times: dict[str, float] = Field({})
    planted: dict[Literal[tuple(KINDS)], float] = Field({})


@dataclass(frozen=True)
class Population:
    """What a truth implies.

    paths : outcome, predictor, value (standardised); order : constructs, causes before effects; residual :
    standard deviation of each construct's disturbance; disturbances : their correlations; latent :
    correlations of the constructs; loadings : item → standardised loading; means : item → mean, and sd : spread of
    all, before rounding.
    """

    paths: pd.DataFrame
    order: tuple[str, ...]
    residual: pd.Series
    disturbances: pd.DataFrame
    latent: pd.DataFrame
    loadings: pd.Series
    means: pd.Series
    sd: float

    def matrix(self) -> pd.DataFrame:
        """Paths as a matrix, outcome × predictor."""
        b = pd.DataFrame(0.0, list(self.order), list(self.order))
        for outcome, predictor, value in self.paths.itertuples(index=False):
            b.loc[outcome, predictor] = value
        return b

    def covariance(self, study: Study, rounded: bool = False) -> pd.DataFrame:
        """Correlations of the items, reverse ones turned round; `rounded`: to the scale, which lowers the loadings.

        The correlation of rounded answers is taken as linear in that behind them (its first Hermite term).
        """
        loadings = self.loadings.copy()
        if rounded:
            for item in loadings.index:
                _, spread, slope = rounded_moments(self.means[item], self.sd, study.scale_of(item))
                loadings[item] *= slope / spread
        owner = [study.items[item] for item in loadings.index]
        full = self.latent.loc[owner, owner].to_numpy() * np.outer(loadings, loadings)
        np.fill_diagonal(full, 1.0)
        return pd.DataFrame(full, loadings.index, loadings.index)


def read(study: Study) -> Truth:
    """The truth of a study, checked.

    Raises
    ------
    TruthError
        The study declares none, or it has mistakes; all are listed.
    """
    if study.truth is None:
        raise TruthError(
            f"The study '{study.id}' declares no truth:, so nothing can be drawn. "
            "Simulated studies do; see data/vas/study.yml."
        )
    try:
        return Truth.model_validate(study.truth)
    except ValidationError as errors:
        lines = [f"  truth.{'.'.join(map(str, e['loc']))}: {e['msg']}; found {e['input']!r}." for e in errors.errors()]
        raise TruthError("The declared truth has mistakes:\n" + "\n".join(lines)) from None


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
    relations = [(lhs, op, name, float(value.replace(" ", "") or 1)) for lhs, op, value, name in _terms(declared.paths)]
    known = [code for code in study.constructs if any(code in (r[0], r[2]) for r in relations)]
    for lhs, _, name, _ in relations:
        for code in (lhs, name):
            if code not in known:
                raise TruthError(f"truth.paths: there is no construct '{code}'. Known: {', '.join(study.constructs)}.")
    paths = [(r[2], r[0], r[3]) if r[1] == "=~" else (r[0], r[2], r[3]) for r in relations if r[1] != "~~"]
    order = _sorted(known, paths)
    r = pd.DataFrame(np.eye(len(order)), order, order)
    for lhs, op, name, value in relations:
        if op == "~~":
            r.loc[lhs, name] = r.loc[name, lhs] = value
    if np.linalg.eigvalsh(r).min() <= 0:
        raise TruthError(
            "truth.paths: the correlations of the disturbances (~~) contradict one another: their matrix has a "
            f"negative eigenvalue ({np.linalg.eigvalsh(r).min():.3f}). Lower some of them."
        )
    a = pd.DataFrame(np.zeros((len(order), len(order))), order, order)
    residual = pd.Series(1.0, order)
    for code in order:
        a.loc[code] = sum((value * a.loc[cause] for effect, cause, value in paths if effect == code), a.loc[code])
        explained, shared = a.loc[code] @ r @ a.loc[code], r.loc[code] @ a.loc[code]
        if (root := shared**2 + 1 - explained) <= 0 or (s := -shared + math.sqrt(root)) <= 0:
            raise TruthError(
                f"truth.paths: the paths to {code} already give it a variance of {explained:.3f}; "
                "standardised, all of it is 1. Make them smaller."
            )
        residual[code] = s
        a.loc[code, code] = s
    loadings, means = _by_item(study, declared.loadings, 0.75), _by_item(study, declared.means, sum(study.scale) / 2)
    if (loadings.abs() >= 1).any():
        raise TruthError(
            f"truth.loadings: {', '.join(loadings.index[loadings.abs() >= 1])}: a standardised loading lies "
            "between -1 and 1."
        )
    unplaced = sorted({study.items[item] for item in loadings.index} - set(order))
    if unplaced:
        raise TruthError(
            f"truth.paths: nothing is said of {', '.join(unplaced)}. Give each a path, or write "
            f"'{unplaced[0]} ~~ 0*{order[0]}'."
        )
    table = pd.DataFrame(paths, columns=["outcome", "predictor", "value"])
    return Population(table, tuple(order), residual, r, a @ r @ a.T, loadings, means, declared.sd)


def _terms(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(left, operator, number, name) of every term of the path text."""
    for line in text.splitlines():
        if not (line := line.split("#")[0].strip()):
            continue
        read = re.fullmatch(r"(\w+)\s*(=~|~~|~)\s*(.+)", line)
        terms = re.findall(r"\+?\s*(-?\s*[\d.]+)\s*\*\s*(\w+)\s*", read[3]) if read else []
        if not read or re.sub(r"\+?\s*(-?\s*[\d.]+)\s*\*\s*(\w+)\s*", "", read[3]):
            raise TruthError(
                f"truth.paths: '{line}' cannot be read. Write 'outcome ~ .30*predictor + .20*predictor', "
                "'whole =~ .7*part' or 'a ~~ .2*b', each term with its number."
            )
        yield from ((read[1], read[2], value, name) for value, name in terms)


def _sorted(known: list[str], paths: list[tuple[str, str, float]]) -> list[str]:
    """Causes before effects."""
    order: list[str] = []
    while len(order) < len(known):
        ready = [
            c for c in known if c not in order and all(cause in order for effect, cause, _ in paths if effect == c)
        ]
        if not ready:
            raise TruthError(
                f"truth.paths: {', '.join(c for c in known if c not in order)} form a circle. Take one path out."
            )
        order += ready
    return order


def _by_item(study: Study, given: Mapping[str, Any], default: float) -> pd.Series:
    """One number an item, from one number or a list a construct."""
    out: dict[str, float] = {}
    for code, items in study.scales.items():
        value = given.get(code, default)
        values = value if isinstance(value, list) else [value] * len(items)
        if len(values) != len(items):
            raise TruthError(
                f"truth: {code} has {len(items)} items but {len(values)} numbers. Give one an item, or one for all."
            )
        out |= dict(zip(items, values, strict=True))
    return pd.Series(out, dtype=float)


def rounded_moments(mean: float, sd: float, scale: tuple[float, float]) -> tuple[float, float, float]:
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


def score_mean(study: Study, codes: tuple[str, ...]) -> tuple[float, pd.Series]:
    """Expected 0–100 score (mean of the means of constructs or items, rescaled) and its slope on every construct."""
    people = population(study)
    mean, slopes = 0.0, pd.Series(0.0, list(people.order))
    for code in codes:
        items = list(study.constructs[code].items) if code in study.constructs else [code]
        for item in items:
            lowest, highest = study.scale_of(item)
            expected, _, slope = rounded_moments(people.means[item], people.sd, (lowest, highest))
            points = 100 / (highest - lowest) / len(items) / len(codes)
            mean += points * (expected - lowest)
            slopes[study.items[item]] += points * people.loadings[item] * slope
    return mean, slopes
