"""Where estimation begins: simple values in the units of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxlib.core.words import _
from cxlib.sem.discrepancy import Moments
from cxlib.sem.model import Model, ModelError


def starting_values(model: Model, samples: Sequence[Moments]) -> np.ndarray:
    """Our own start: loadings 1 and latent variances .4 in units of the marker, B 0, residuals S_ii/2."""
    out, table, number = (
        np.zeros(model.npar),
        model.table,
        {name: i for i, name in enumerate(model.observed)},
    )
    rows = list(
        zip(
            *(table[name] for name in ("group", "lhs", "op", "rhs", "free", "value", "exo")),
            strict=True,
        )
    )
    for group, sample in enumerate(samples):
        s = sample.cov.to_numpy()
        loadings: dict[str, list[tuple[str, float]]] = {name: [] for name in model.latent}
        for g, a, op, b, _free, value, _exo in rows:
            if g == group and op == "=~":
                loadings[a].append((b, value))

        def unit(name: str, seen: tuple = (), s=s, loadings=loadings) -> tuple[int, float]:
            """The observed variable a latent one takes its unit from, and that unit."""
            if name in number:
                return number[name], float(np.sqrt(s[number[name], number[name]]))
            if name in seen:
                raise ModelError(
                    _(
                        "'{name}' is, through others, an indicator of itself. Remove one of these '=~'.",
                        name=name,
                    )
                )
            fixed = [
                loading
                for loading in loadings[name]
                if loading[1] == loading[1] and loading[1] != 0
            ]
            first, value = (fixed or loadings[name])[0]
            marker, size = unit(first, (*seen, name))
            return marker, size / abs(value) if fixed else 2.0

        for g, a, op, b, free, _value, exo in rows:
            if g != group or not free:
                continue
            if op == "=~":
                (marker, size), (near, width) = unit(a), unit(b)
                out[free - 1] = width / size * (-1 if s[marker, near] < 0 else 1)
            elif op == "~1":
                out[free - 1] = 0.0 if a in model.latent else sample.centre[a]
            elif op == "~~" and (a == b or exo):
                own = s[number[a], number[b]] if a in number else 0.8 * unit(a)[1] ** 2
                out[free - 1] = own if exo else own / 2
    return out
