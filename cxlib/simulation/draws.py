"""Columns that are not items: each is drawn from one standard normal score by the distribution a truth declares.

The score may lean on constructs and on earlier columns, so a waiting time can go with dissatisfaction while its
distribution stays as declared.  Only uniform numbers are taken from the generator and turned by inverse
distribution functions: a column depends on nothing but its seed, its name and its block.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtr, ndtri

from cxlib.core.errors import TruthError
from cxlib.core.words import _
from cxlib.study.conditions import where
from cxlib.study.schema import Column

ANSWER_SD = 1.3
"""Standard deviation behind a single agreement question before it is rounded."""
HOURS = {"seconds": 1 / 3600, "minutes": 1 / 60, "hours": 1.0, "days": 24.0}
LABELS = ("label_sent", "label_theme")
"""The columns whose tone and theme choose a sentence."""


class Declared(BaseModel):
    """A part of a declared truth: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Draw(Declared):
    """How a column is drawn: exactly one distribution (the fields that are None without one), and what bends it."""

    always: float | None = None
    share: float | None = None  # of ones
    shares: dict[str, float] | None = None  # of levels, in rising order of the score
    likert: tuple[float, float] | None = (
        None  # (an answer, the share that gives it or a higher one)
    )
    normal: tuple[float, float] | None = None  # mean, standard deviation
    lognormal: tuple[float, float] | None = None  # median, standard deviation of the logarithm
    poisson: float | None = None  # mean
    quantiles: dict[float, float] | None = None  # probability → value, straight lines between
    time: tuple[str, float] | None = None  # first day, number of days
    hours: str | None = None  # the time that lies in another column
    id: str | None = None  # a pattern such as "R{:05d}"
    hash: int | None = None  # so many hexadecimal digits
    sentences: str | None = None  # file of texts by tone and theme, chosen by the columns LABELS
    after: str = ""  # a time: the number drawn is then the delay in `unit`
    unit: Literal["seconds", "minutes", "hours", "days"] = "hours"
    level: Literal["respondent", "cluster"] = "respondent"
    weights: dict[str, float] = Field(
        {}, alias="from"
    )  # of constructs and earlier columns in the score
    times: dict[str, float] = {}  # condition → factor of the mean or share
    plus: dict[str, float] = {}  # condition → what is added to the share, or days to a time
    given: dict[str, dict[str, float]] = {}  # condition → other shares
    least: float = 0
    digits: int = 0
    missing: float = 0

    @model_validator(mode="after")
    def _one(self) -> Draw:
        known = [name for name, declared in Draw.model_fields.items() if declared.default is None]
        found = [name for name in known if getattr(self, name) is not None]
        if len(found) != 1:
            raise TruthError(
                _(
                    "it needs exactly one of {known}; it has {found}.",
                    known=known,
                    found=found or _("none"),
                )
            )
        return self

    @property
    def distribution(self) -> tuple[str, Any]:
        """The one that is declared, and its numbers."""
        return next((name, how) for name, how in self if how is not None)


@dataclass(frozen=True)
class Planned:
    """A column about to be drawn.

    code : names its random numbers and its score; weights : of earlier scores in it, and `chance` of its own;
    texts : sentences by place, tone and theme.
    """

    code: str
    draw: Draw
    column: Column
    weights: Mapping[str, float] = field(default_factory=dict)
    chance: float = 1.0
    texts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Uniform numbers known by seed, block and name; a `prefix` sets those of another purpose apart."""

    seed: int
    block: int
    prefix: str = ""

    def uniform(self, name: str, *shape: int) -> np.ndarray:
        """Numbers in (0, 1)."""
        source = np.random.default_rng(
            [self.seed, zlib.crc32((self.prefix + name).encode()), self.block]
        )
        return np.maximum(source.random(shape), 2.0**-54)

    def normal(self, name: str, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return ndtri(self.uniform(name, *shape))


@dataclass
class Rows:
    """Rows being drawn, of which `first` came before: their columns so far, and the score behind each.

    lifted : the part of a construct's score that its groups bring.
    """

    n: int
    stream: Stream
    first: int = 0
    cells: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    lifted: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, index: np.ndarray, first: int = 0) -> Rows:
        """Rows below these: respondents of clusters, tickets of respondents."""
        below = (
            {name: values[index] for name, values in part.items()}
            for part in (self.cells, self.scores, self.lifted)
        )
        return Rows(len(index), self.stream, first, *below)

    def holds(self, condition: str) -> np.ndarray:
        """Which rows meet a condition; all meet an empty one."""
        if not condition:
            return np.ones(self.n, bool)
        named = {
            name: self.cells[name]
            for name in re.findall(r"[A-Za-z_]\w*", condition)
            if name in self.cells
        }
        return where(pd.DataFrame(named, index=range(self.n)), condition).to_numpy()

    def draw(self, name: str, planned: Planned) -> None:
        """Add a column."""
        draw, column, code = planned.draw, planned.column, planned.code
        if column.quota or draw.level == "cluster":  # exact shares
            order = np.argsort(self.stream.uniform(code, self.n), kind="stable")
            own = ndtri((np.argsort(order, kind="stable") + 0.5) / self.n)
        else:
            own = self.stream.normal(code, self.n)
        z = planned.chance * own + sum(
            weight * self.scores[source] for source, weight in planned.weights.items()
        )
        if (
            draw.times or draw.plus
        ):  # what they say of groups is all there is: none comes by way of the constructs
            z = z - sum(
                weight * self.lifted.get(source, 0.0) for source, weight in planned.weights.items()
            )
        values = self._values(planned, z)
        if not (asked := self.holds(column.only_if)).all():
            values = pd.Series(values).where(asked).to_numpy()
        self.scores[code], self.cells[name] = z, values

    def _values(self, planned: Planned, z: np.ndarray) -> np.ndarray:
        """The cells that belong to a score."""
        draw, code = planned.draw, planned.code
        factor, added = np.ones(self.n), np.zeros(self.n)
        for condition, value in draw.times.items():
            factor[self.holds(condition)] *= value
        for condition, value in draw.plus.items():
            added[self.holds(condition)] += value
        match draw.distribution:
            case "share", share:
                return (z > ndtri(1 - np.clip(share * factor + added, 0, 1))).astype(float)
            case "shares", shares:
                return self._levels(shares, draw.given, z)
            case "id", pattern:
                return np.array(
                    [pattern.format(self.first + i) for i in range(1, self.n + 1)], object
                )
            case "hash", digits:
                every = self.stream.uniform(code, self.n)
                return np.array([f"{int(u * 16**digits):0{digits}x}" for u in every], object)
            case "sentences", _:
                return self._sentences(code, planned.texts)
            case "time", (day, days):
                seconds = np.floor((ndtr(z) * days + added) * 86400)
                return np.datetime64(day, "s") + seconds.astype("timedelta64[s]")
        numbers = self._numbers(draw, z, factor, added)
        if draw.after:
            return self.cells[draw.after] + np.rint(numbers * HOURS[draw.unit] * 3600).astype(
                "timedelta64[s]"
            )
        return np.clip(
            np.round(numbers + draw.least, draw.digits),
            *(planned.column.range or (-np.inf, np.inf)),
        )

    def _numbers(
        self, draw: Draw, z: np.ndarray, factor: np.ndarray, added: np.ndarray
    ) -> np.ndarray:
        """The numbers that belong to a score, not yet rounded; or delays, in the unit of the draw."""
        match draw.distribution:
            case "likert", (answer, share):
                return answer - 0.5 + ANSWER_SD * (ndtri(np.clip(share * factor + added, 0, 1)) + z)
            case "normal", (mean, sd):
                return mean * factor + sd * z
            case "lognormal", (median, sd):
                return median * factor * np.exp(sd * z)
            case "quantiles", places:
                return factor * np.interp(ndtr(z), list(places), list(places.values()))
            case "poisson", mean:
                from scipy.stats import poisson

                return poisson.ppf(ndtr(z), mean * factor)
            case "hours", name:
                return self.cells[name]
            case "always", number:
                return np.full(self.n, number)
        raise ValueError(draw.distribution[0])

    def _levels(
        self, shares: Mapping[str, float], given: Mapping[str, Mapping], z: np.ndarray
    ) -> np.ndarray:
        """Levels by cutting the score; `given` are other shares, for the rows that meet its condition."""
        every = np.tile(list(shares.values()), (self.n, 1))
        for condition, other in given.items():
            every[self.holds(condition)] = [other.get(level, 0.0) for level in shares]
        cuts = np.cumsum(every / every.sum(axis=1, keepdims=True), axis=1)[:, :-1]
        return np.array(list(shares), object)[(ndtr(z)[:, None] > cuts).sum(axis=1)]

    def _sentences(self, code: str, texts: Mapping[str, Any]) -> np.ndarray:
        """A text of an opening, a sentence of its tone and theme, and a close."""
        out = np.empty(self.n, object)
        chosen = zip(
            *(self.cells[name] for name in LABELS),
            self.stream.uniform(f"{code} words", self.n, 3),
            strict=True,
        )
        for i, (tone, theme, u) in enumerate(chosen):
            parts = texts["open"], texts[tone][theme], texts["close"][tone]
            out[i] = "".join(part[int(v * len(part))] for part, v in zip(parts, u, strict=True))
        return out
