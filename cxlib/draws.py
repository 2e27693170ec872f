"""Columns that are not items: each is drawn from one standard normal score by the distribution a truth declares.

The score may lean on constructs and on earlier columns, so a waiting time can go with dissatisfaction while its
distribution stays as declared.  Only uniform numbers are taken from the generator and turned by inverse
distribution functions: a column depends on nothing but its seed, its name and its block.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtr, ndtri

from cxlib.cleaning import where
from cxlib.study import Column

ANSWER_SD = 1.3
"""Standard deviation behind a single agreement question before it is rounded."""
HOURS = {"seconds": 1 / 3600, "minutes": 1 / 60, "hours": 1.0, "days": 24.0}
DISTRIBUTIONS = (
    "always",
    "share",
    "shares",
    "likert",
    "normal",
    "lognormal",
    "poisson",
    "quantiles",
    "time",
    "hours",
    "id",
    "hash",
    "sentences",
)


class Declared(BaseModel):
    """A part of a declared truth: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Draw(Declared):
    """How a column is drawn: exactly one distribution, and what bends it."""

    always: float | None = None
    share: float | None = None  # of ones
    shares: dict[str, float] | None = None  # of levels, in rising order of the score
    likert: tuple[float, float] | None = None  # (an answer, the share that gives it or a higher one)
    normal: tuple[float, float] | None = None  # mean, standard deviation
    lognormal: tuple[float, float] | None = None  # median, standard deviation of the logarithm
    poisson: float | None = None  # mean
    quantiles: dict[float, float] | None = None  # probability → value, straight lines between
    time: tuple[str, float] | None = None  # first day, number of days
    hours: str | None = None  # the time that lies in another column
    id: str | None = None  # a pattern such as "R{:05d}"
    hash: int | None = None  # so many hexadecimal digits
    sentences: str | None = None  # file of texts by tone and theme, chosen by the columns `labels`
    labels: tuple[str, str] = ("label_sent", "label_theme")
    after: str = ""  # a time: the number drawn is then the delay in `unit`
    unit: Literal["seconds", "minutes", "hours", "days"] = "hours"
    level: Literal["respondent", "cluster"] = "respondent"
    weights: dict[str, float] = Field({}, alias="from")  # of constructs and earlier columns in the score
    times: dict[str, float] = {}  # condition → factor of the mean or share
    plus: dict[str, float] = {}  # condition → what is added to the share, or days to a time
    given: dict[str, dict[str, float]] = {}  # condition → other shares
    least: float = 0
    digits: int = 0
    missing: float = 0

    @model_validator(mode="after")
    def _one(self) -> Draw:
        found = [name for name in DISTRIBUTIONS if getattr(self, name) is not None]
        if len(found) != 1:
            raise ValueError(f"needs exactly one of {', '.join(DISTRIBUTIONS)}; it has {', '.join(found) or 'none'}")
        return self


class Stream:
    """Uniform numbers known by seed, name and block."""

    def __init__(self, seed: int, block: int, prefix: str = ""):
        """`prefix` sets the numbers of another purpose apart."""
        self.seed, self.block, self.prefix = seed, block, prefix

    def uniform(self, name: str, *shape: int) -> np.ndarray:
        """Numbers in (0, 1)."""
        source = np.random.default_rng([self.seed, zlib.crc32((self.prefix + name).encode()), self.block])
        return np.maximum(source.random(shape), 2.0**-54)

    def normal(self, name: str, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return ndtri(self.uniform(name, *shape))


class Rows:
    """Rows being drawn: their columns so far, and the score behind each."""

    def __init__(
        self, n: int, stream: Stream, cells: Mapping | None = None, scores: Mapping | None = None, first: int = 0
    ):
        """`first` rows were drawn before these."""
        self.n, self.stream, self.first = n, stream, first
        self.cells: dict[str, np.ndarray] = dict(cells or {})
        self.scores: dict[str, np.ndarray] = dict(scores or {})
        self.lifted: dict[str, np.ndarray] = {}  # the part of a construct's score that its group brings

    def take(self, index: np.ndarray, first: int = 0) -> Rows:
        """Rows below these: respondents of clusters, tickets of respondents."""
        below = [{name: values[index] for name, values in part.items()} for part in (self.cells, self.scores)]
        return Rows(len(index), self.stream, *below, first)

    def holds(self, condition: str) -> np.ndarray:
        """Which rows meet a condition; all meet an empty one."""
        if not condition:
            return np.ones(self.n, bool)
        named = [name for name in re.findall(r"[A-Za-z_]\w*", condition) if name in self.cells]
        frame = pd.DataFrame({name: self.cells[name] for name in named}, index=range(self.n))
        return where(frame, condition).to_numpy()

    def draw(
        self,
        name: str,
        draw: Draw,
        column: Column,
        part: tuple[Mapping[str, float], float],
        bank: Mapping,
        code: str = "",
    ) -> None:
        """Add a column: `part` holds the sources of its score and the weight of its own chance."""
        code = code or name
        if column.quota or draw.level == "cluster":  # exact shares
            own = ndtri(
                (np.argsort(np.argsort(self.stream.uniform(code, self.n), kind="stable"), kind="stable") + 0.5) / self.n
            )
        else:
            own = self.stream.normal(code, self.n)
        z = part[1] * own + sum(weight * self.scores[source] for source, weight in part[0].items())
        if draw.times or draw.plus:  # what they say of groups is all there is: none comes by way of the constructs
            z = z - sum(weight * self.lifted.get(source, 0.0) for source, weight in part[0].items())
        values = self._values(code, draw, column, z, bank)
        asked = self.holds(column.only_if)
        if not asked.all():
            values = pd.Series(values).where(asked).to_numpy()
        self.scores[code], self.cells[name] = z, values

    def _values(self, code: str, draw: Draw, column: Column, z: np.ndarray, bank: Mapping) -> np.ndarray:
        factor, added = np.ones(self.n), np.zeros(self.n)
        for condition, value in draw.times.items():
            factor[self.holds(condition)] *= value
        for condition, value in draw.plus.items():
            added[self.holds(condition)] += value
        if draw.share is not None:
            return (z > ndtri(1 - np.clip(draw.share * factor + added, 0, 1))).astype(float)
        if draw.shares is not None:
            return self._level(draw, z)
        if draw.id is not None:
            return np.array([draw.id.format(i) for i in range(self.first + 1, self.first + self.n + 1)], object)
        if draw.hash is not None:
            return np.array(
                [f"{int(u * 16**draw.hash):0{draw.hash}x}" for u in self.stream.uniform(code, self.n)], object
            )
        if draw.sentences is not None:
            return self._sentences(code, draw, bank[draw.sentences])
        if draw.time is not None:
            seconds = np.floor((ndtr(z) * draw.time[1] + added) * 86400)
            return np.datetime64(draw.time[0], "s") + seconds.astype("timedelta64[s]")
        numbers = self._numbers(draw, z, factor, added)
        if draw.after:
            return self.cells[draw.after] + np.rint(numbers * HOURS[draw.unit] * 3600).astype("timedelta64[s]")
        return np.clip(np.round(numbers + draw.least, draw.digits), *(column.range or (-np.inf, np.inf)))

    def _numbers(self, draw: Draw, z: np.ndarray, factor: np.ndarray, added: np.ndarray) -> np.ndarray:
        """Numbers before they are rounded."""
        if draw.likert is not None:
            answer, share = draw.likert
            return answer - 0.5 + ANSWER_SD * (ndtri(np.clip(share * factor + added, 0, 1)) + z)
        if draw.normal is not None:
            return draw.normal[0] * factor + draw.normal[1] * z
        if draw.lognormal is not None:
            return draw.lognormal[0] * factor * np.exp(draw.lognormal[1] * z)
        if draw.quantiles is not None:
            return factor * np.interp(ndtr(z), list(draw.quantiles), list(draw.quantiles.values()))
        if draw.poisson is not None:
            mean, u = draw.poisson * factor, ndtr(z)
            chance, count = np.exp(-mean), np.zeros(self.n)
            total = chance.copy()
            while (more := (u > total) & (chance > 0)).any():
                count += more
                chance = chance * mean / np.maximum(count, 1)
                total += np.where(more, chance, 0)
            return count
        return self.cells[draw.hours] if draw.hours is not None else np.full(self.n, draw.always)

    def _level(self, draw: Draw, z: np.ndarray) -> np.ndarray:
        """Levels by cutting the score; `given` changes the shares of the rows that meet its condition."""
        names = list(draw.shares or {})
        shares = np.tile([float(v) for v in (draw.shares or {}).values()], (self.n, 1))
        for condition, other in draw.given.items():
            shares[self.holds(condition)] = [other.get(name, 0.0) for name in names]
        cuts = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)[:, :-1]
        return np.array(names, object)[(ndtr(z)[:, None] > cuts).sum(axis=1)]

    def _sentences(self, code: str, draw: Draw, bank: Mapping[str, Any]) -> np.ndarray:
        """A text of an opening, a sentence of its tone and theme, and a close."""
        tone, theme = (self.cells[name] for name in draw.labels)
        u = self.stream.uniform(code + " words", self.n, 3)
        out = np.empty(self.n, object)
        for i in range(self.n):
            parts = bank["open"], bank[tone[i]][theme[i]], bank["close"][tone[i]]
            out[i] = "".join(part[int(u[i, j] * len(part))] for j, part in enumerate(parts))
        return out
