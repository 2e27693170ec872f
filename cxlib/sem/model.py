"""Model syntax → parameter table → LISREL matrices, with lavaan's `sem()` defaults.

The implied moments are Σ = Λ (I−B)⁻¹ Ψ (I−B)⁻ᵀ Λ' + Θ and μ = ν + Λ (I−B)⁻¹ α.  Every
variable of the structural part is a *state*: the latent variables, and those observed variables
that take part in a regression (their loading is 1, their residual 0).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd

from cxlib.core.errors import ModelError
from cxlib.core.syntax import Term, names, read

__all__ = ["Model", "ModelError", "number", "parse", "replicate", "scales", "standardize"]
MATRICES = ("lambda", "beta", "psi", "theta", "nu", "alpha")
COLUMNS = ("lhs", "op", "rhs", "group", "label", "free", "value", "matrix", "row", "col", "exo")


@dataclass(frozen=True, eq=False)
class Model:
    """A model ready to be fitted: names, parameter table and locations in the matrices.

    `table` has one row a parameter and group: lhs, op, rhs, group (0, 1, …), label, free (0 for a
    fixed one, else 1…npar; rows that share a number are one parameter), value (of a fixed one,
    NaN otherwise), matrix, row, col, exo (1 for the moments of observed predictors, which lavaan
    calls ``fixed.x``: estimated by the sample's own, not counted as parameters).
    Parameters are known by (lhs, op, rhs, group), never by order.
    """

    observed: tuple[str, ...]
    latent: tuple[str, ...]
    state: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    syntax: str = ""

    @property
    def npar(self) -> int:
        """Number of distinct free numbers, the moments of observed predictors included."""
        return int(self.table["free"].max())

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.table["group"].max()) + 1

    @property
    def means(self) -> bool:
        """Whether the model has a mean structure."""
        return bool(self.table["matrix"].isin(["nu", "alpha"]).any())

    @property
    def df(self) -> int:
        """Degrees of freedom: sample moments of all groups less free numbers."""
        p = len(self.observed)
        return self.n_groups * (p * (p + 1) // 2 + self.means * p) - self.npar

    @property
    def fixed_x(self) -> tuple[str, ...]:
        """The observed predictors whose moments are taken from the sample."""
        exo = set(self.table.loc[self.table["exo"] == 1, "lhs"])
        return tuple(name for name in self.observed if name in exo)

    def values(self, free: np.ndarray) -> np.ndarray:
        """The value of every row of `table` at the free numbers."""
        number_ = self.table["free"].to_numpy(int)
        return np.where(number_ > 0, np.append(0.0, free)[number_], self.table["value"])

    @cached_property
    def _layout(self) -> list[dict[str, tuple[np.ndarray, ...]]]:
        """Group → matrix → (free number or 0, fixed value, row, col) as arrays."""
        names = ("free", "value", "row", "col")
        return [
            {
                matrix: tuple(part[name].to_numpy() for name in names)
                for matrix, part in rows.groupby("matrix")
            }
            for _, rows in self.table.groupby("group")
        ]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each of the six matrices of a group."""
        p, m = len(self.observed), len(self.state)
        return {
            "lambda": (p, m),
            "beta": (m, m),
            "psi": (m, m),
            "theta": (p, p),
            "nu": (p,),
            "alpha": (m,),
        }

    def matrices(self, free: np.ndarray, group: int = 0) -> dict[str, np.ndarray]:
        """The six matrices of one group at the values `free` (length npar)."""
        shape = self.shapes
        free = np.asarray(free)
        out = {
            name: np.zeros(size, dtype=np.result_type(free, float)) for name, size in shape.items()
        }
        for at, name in enumerate(self.state[len(self.latent) :], len(self.latent)):
            out["lambda"][self.observed.index(name), at] = 1
        padded = np.append(0.0, free)
        for name, (number_, fixed, row, col) in self._layout[group].items():
            value = np.where(number_ > 0, padded[number_], fixed)
            if name in ("nu", "alpha"):
                out[name][row] = value
            else:
                out[name][row, col] = value
                if name in ("psi", "theta"):
                    out[name][col, row] = value
        return out


def parse(syntax: str, means: bool = False) -> Model:
    """Read lavaan syntax (`=~`, `~`, `~~`, `~ 1`, labels, fixed numbers) into a :class:`Model`.

    :func:`cxlib.core.syntax.read` reads the lines; lavaan's defaults are added here: the first indicator is
    fixed to 1 (write ``NA*x`` to free it; a label does not), exogenous latent variables covary, so do
    terminal outcomes, exogenous observed variables too (a latent and an observed predictor do not,
    unless written), and a single indicator has no residual.  Observed predictors are ``fixed.x`` unless
    a ``~~`` or ``~ 1`` line mentions them.

    Parameters
    ----------
    syntax : str
        See :func:`cxlib.core.syntax.read`.
    means : bool
        Add intercepts of the observed variables (latent means 0).  A ``~ 1`` line turns it on.

    Raises
    ------
    ModelError
        For a line that cannot be read, a term written twice, a label that is also a variable, or an
        empty model.

    Notes
    -----
    R: ``lavaan::sem(syntax, data)``; its table ``lavaan::parTable(fit)``.
    """
    terms = _identified(read(syntax))
    latent, observed, state = _variables(terms)
    rows = [_row(t.lhs, t.op, t.rhs, state, t.label, t.value) for t in terms]
    rows += _defaults(terms, latent, observed, state, means)
    table = pd.DataFrame(rows)
    index = {
        "observed": {n: i for i, n in enumerate(observed)},
        "state": {n: i for i, n in enumerate(state)},
    }
    for end, kinds in (("row", ("beta", "psi", "alpha")), ("col", ("lambda", "beta", "psi"))):
        table[end] = [
            index["state" if matrix in kinds else "observed"].get(name, 0)
            for matrix, name in zip(table["matrix"], table[end], strict=True)
        ]
    return Model(observed, latent, state, number(table)[list(COLUMNS)], syntax)


def _pairs(terms: Sequence[Term], op: str) -> list[tuple[str, str]]:
    """Both sides of every relation of a kind, in the order written."""
    return [(t.lhs, t.rhs) for t in terms if t.op == op and t.rhs != "1"]


def _variables(
    terms: Sequence[Term],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The latent and observed variables and the states, in the order of the matrices."""
    loadings, paths = _pairs(terms, "=~"), _pairs(terms, "~")
    latent = tuple(dict.fromkeys(a for a, _ in loadings))
    named = dict.fromkeys(
        [*(b for _, b in loadings), *(a for a, _ in paths), *(b for _, b in paths), *names(terms)]
    )
    observed = tuple(n for n in named if n not in latent)
    structural = {name for pair in paths for name in pair} | set(latent)
    while (
        grown := {
            n for pair in _pairs(terms, "~~") if len(structural & set(pair)) == 1 for n in pair
        }
        - structural
    ):
        structural |= grown
    return latent, observed, latent + tuple(n for n in observed if n in structural)


def _defaults(
    terms: Sequence[Term],
    latent: tuple[str, ...],
    observed: tuple[str, ...],
    state: tuple[str, ...],
    means: bool,
) -> list[dict]:
    """The rows that lavaan adds to what is written: variances, covariances of what nothing explains, intercepts."""
    loadings, covariances = _pairs(terms, "=~"), _pairs(terms, "~~")
    outcomes, predictors = ({pair[side] for pair in _pairs(terms, "~")} for side in (0, 1))
    indicators, given = {b for _, b in loadings}, {t.lhs for t in terms if t.rhs == "1"}
    have = {frozenset(pair) for pair in covariances}
    mentioned = {n for pair in covariances for n in pair} | given
    exogenous = [n for n in state if n not in outcomes | indicators]
    fixed_x = [n for n in exogenous if n not in latent and n not in mentioned]
    count, shared = Counter(a for a, _ in loadings), Counter(b for _, b in loadings)
    single = {b for a, b in loadings if count[a] == 1 and shared[b] == 1 and b not in latent}
    rows = [
        _row(name, "~~", name, state, value=0.0 if name in single else None)
        for name in (*(n for n in observed if n not in fixed_x), *latent)
        if frozenset((name,)) not in have
    ]
    terminal = [
        n for n in (*latent, *observed) if n in outcomes and n not in predictors | indicators
    ]
    rows += [
        _row(a, "~~", b, state)
        for a, b in (
            *combinations([n for n in exogenous if n in latent], 2),
            *combinations(terminal, 2),
        )
        if frozenset((a, b)) not in have
    ]
    for position, name in enumerate(fixed_x):
        rows.extend({**_row(name, "~~", other, state), "exo": 1} for other in fixed_x[position:])
    if means or given:
        rows.extend(
            {**_row(name, "~", "1", state), "exo": int(name in fixed_x)}
            for name in observed
            if name not in given
        )
    return rows


def number(table: pd.DataFrame) -> pd.DataFrame:
    """Number the free parameters 1…npar; rows with the same label get the same number."""
    table = table.copy()
    seen: dict[str, int] = {}
    count, free = 0, []
    for value, label in zip(table["value"], table["label"], strict=True):
        if not np.isnan(value):
            free.append(0)
        elif label and label in seen:
            free.append(seen[label])
        else:
            count += 1
            free.append(count)
            if label:
                seen[label] = count
    table["free"] = free
    return table


def replicate(model: Model, n_groups: int) -> Model:
    """The same model in several groups, everything free in each; a label holds across groups.

    Notes
    -----
    R: ``sem(syntax, data, group = "g")`` (configural).
    """
    table = pd.concat(
        [model.table.assign(group=group) for group in range(n_groups)], ignore_index=True
    )
    return Model(model.observed, model.latent, model.state, number(table), model.syntax)


def standardize(model: Model, theta: np.ndarray) -> np.ndarray:
    """std.all of every row of ``model.table`` at the free numbers `theta`."""
    return model.values(theta) * scales(model, theta)


def scales(model: Model, theta: np.ndarray) -> np.ndarray:
    """What turns the value of every row of ``model.table`` into std.all.

    A covariance of residuals becomes their correlation, as in lavaan.
    """
    table, size = model.table, len(model.latent)
    at = {name: i for i, name in enumerate((*model.latent, *model.observed))}
    a, b = (table[side].map(at).fillna(0).to_numpy(int) for side in ("lhs", "rhs"))
    op, out = table["op"].to_numpy(str), np.empty(len(table))
    for group in range(model.n_groups):
        part = model.matrices(theta, group)
        c = np.linalg.inv(np.eye(len(part["beta"])) - part["beta"])
        phi = c @ part["psi"] @ c.T
        sigma = part["lambda"] @ phi @ part["lambda"].T + part["theta"]
        total = np.append(np.diag(phi)[:size], np.diag(sigma))
        own = np.append(np.diag(part["psi"])[:size], np.diag(part["theta"]))
        own[[at[name] for name in model.state[size:]]] = np.diag(part["psi"])[size:]
        with np.errstate(invalid="ignore", divide="ignore"):
            sd, rest = np.sqrt(total), np.sqrt(np.abs(own))
            scale = np.select(
                [op == "=~", op == "~", op == "~1", a == b],
                [sd[a] / sd[b], sd[b] / sd[a], 1 / sd[a], 1 / total[a]],
                1 / (rest[a] * rest[b]),
            )
        here = table["group"].to_numpy(int) == group
        out[here] = scale[here]
    return out


def _identified(terms: tuple[Term, ...]) -> list[Term]:
    """The terms with lavaan's fixed ones: the first indicator at 1 (a label does not free it), and what shares a label with a fixed one."""
    first = {term.lhs: term for term in reversed(terms) if term.op == "=~"}
    out = [
        replace(t, value=1.0) if first.get(t.lhs) is t and t.value is None and not t.freed else t
        for t in terms
    ]
    held = {t.label: t.value for t in reversed(out) if t.label and t.value is not None}
    return [replace(t, value=held[t.label]) if t.label in held else t for t in out]


def _row(
    lhs: str, op: str, rhs: str, state: tuple[str, ...], label: str = "", value: float | None = None
) -> dict:
    """One row of the table, `row` and `col` still names."""
    if op == "~" and rhs == "1":
        op, rhs, matrix, row, col = "~1", "", "alpha" if lhs in state else "nu", lhs, ""
    elif op == "~~":
        matrix, row, col = "psi" if lhs in state and rhs in state else "theta", lhs, rhs
    else:
        effect, cause = (rhs, lhs) if op == "=~" else (lhs, rhs)
        matrix, row, col = "beta" if effect in state else "lambda", effect, cause
    return {
        "lhs": lhs,
        "op": op,
        "rhs": rhs,
        "group": 0,
        "label": label,
        "free": 0,
        "value": np.nan if value is None else value,
        "matrix": matrix,
        "row": row,
        "col": col,
        "exo": 0,
    }
