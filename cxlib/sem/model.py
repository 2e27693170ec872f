"""Model syntax → parameter table → LISREL matrices, with lavaan's `sem()` defaults.

The implied moments are Σ = Λ (I−B)⁻¹ Ψ (I−B)⁻ᵀ Λ' + Θ and μ = ν + Λ (I−B)⁻¹ α.  Every
variable of the structural part is a *state*: the latent variables, and those observed variables
that take part in a regression (their loading is 1, their residual 0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

MATRICES = ("lambda", "beta", "psi", "theta", "nu", "alpha")
COLUMNS = ("lhs", "op", "rhs", "group", "label", "free", "value", "matrix", "row", "col")
_LINE = re.compile(r"^[\w.,\s]+(=~|~~|~)[\w.\s*+\-]+$")


class ModelError(ValueError):
    """The model syntax cannot be used; the message says which line, why, and what to write."""


@dataclass(frozen=True)
class Model:
    """A model ready to be fitted: names, parameter table and locations in the matrices.

    `table` has one row a parameter and group: lhs, op, rhs, group (0, 1, …), label, free (0 for a
    fixed one, else 1…npar; rows that share a number are one parameter), value (of a fixed one,
    NaN otherwise), matrix, row, col.  Parameters are known by (lhs, op, rhs, group), never by order.
    """

    observed: tuple[str, ...]
    latent: tuple[str, ...]
    state: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    syntax: str = ""

    @property
    def npar(self) -> int:
        """Number of distinct free parameters."""
        return int(self.table["free"].max())

    @property
    def n_groups(self) -> int:
        return int(self.table["group"].max()) + 1

    @property
    def means(self) -> bool:
        """Whether the model has a mean structure."""
        return bool(self.table["matrix"].isin(["nu", "alpha"]).any())

    def matrices(self, free: np.ndarray, group: int = 0) -> dict[str, np.ndarray]:
        """The six matrices of one group at the values `free` (length npar)."""
        p, m = len(self.observed), len(self.state)
        shape = {"lambda": (p, m), "beta": (m, m), "psi": (m, m), "theta": (p, p), "nu": (p,), "alpha": (m,)}
        out = {name: np.zeros(size) for name, size in shape.items()}
        padded = np.concatenate([[0.0], free])
        for row in self.table[self.table["group"] == group].itertuples():
            value = padded[row.free] if row.free else row.value
            target = out[row.matrix]
            if target.ndim == 1:
                target[row.row] = value
            else:
                target[row.row, row.col] = value
                if row.matrix in ("psi", "theta"):
                    target[row.col, row.row] = value
        for name in self.state:
            if name not in self.latent:
                out["lambda"][self.observed.index(name), self.state.index(name)] = 1.0
        return out


def parse(syntax: str, means: bool = False) -> Model:
    """Read lavaan syntax (`=~`, `~`, `~~`, labels, fixed numbers) into a :class:`Model`.

    semopy's parser reads the lines; lavaan's defaults are added here, because semopy's own differ:
    the first indicator is fixed to 1 (write ``NA*x`` to free it), exogenous latent variables covary,
    so do terminal outcomes, exogenous observed variables too, and a single indicator has no residual.

    Parameters
    ----------
    syntax : str
        One relation a line; ``#`` starts a comment.
    means : bool
        Add intercepts of the observed variables (latent means 0).

    Raises
    ------
    ModelError
        For a line that cannot be read, a label that is also a variable, or an empty model.

    Notes
    -----
    R: ``lavaan::lavaanify(syntax, auto = TRUE, fixed.x = FALSE)``.
    """
    effects = _effects(syntax)
    latent = tuple(effects.get("=~", {}))
    names = list(dict.fromkeys(n for op in ("=~", "~", "~~") for lhs, rhs in effects.get(op, {}).items() for n in (lhs, *rhs)))
    observed = tuple(n for n in names if n not in latent)
    for rhs in (r for by_lhs in effects.values() for r in by_lhs.values()):
        for name, mark in rhs.items():
            if mark in names:
                raise ModelError(f"'{mark}*{name}' multiplies two variables, but '{mark}' would be read as a label. "
                                 f"Use a label that is not a variable, or form the product as a column of the data first.")
    structural = {n for lhs, rhs in effects.get("~", {}).items() for n in (lhs, *rhs)}
    structural |= {n for lhs, rhs in effects.get("~~", {}).items() for other in rhs if (lhs in latent) != (other in latent)
                   for n in (lhs, other)}
    state = latent + tuple(n for n in observed if n in structural)
    rows: list[dict] = []
    for lhs, rhs in effects.get("=~", {}).items():
        for position, (name, mark) in enumerate(rhs.items()):
            if position == 0 and mark is None:
                mark = "1"
            matrix = "beta" if name in state else "lambda"
            rows.append(_row(lhs, "=~", name, mark, matrix, name, lhs))
    for lhs, rhs in effects.get("~", {}).items():
        rows.extend(_row(lhs, "~", name, mark, "beta", lhs, name) for name, mark in rhs.items())
    for lhs, rhs in effects.get("~~", {}).items():
        rows.extend(_row(lhs, "~~", name, mark, "psi" if lhs in state and name in state else "theta", lhs, name)
                    for name, mark in rhs.items())
    have = {frozenset((r["lhs"], r["rhs"])) for r in rows if r["op"] == "~~"}
    single = {next(iter(rhs)) for rhs in effects.get("=~", {}).values() if len(rhs) == 1}
    for name in (*observed, *latent):
        if frozenset((name,)) not in have:
            fixed = "0" if name in single and name not in structural and name in observed else None
            rows.append(_row(name, "~~", name, fixed, "psi" if name in state else "theta", name, name))
    indicators = {n for rhs in effects.get("=~", {}).values() for n in rhs}
    outcomes = set(effects.get("~", {}))
    predictors = {n for rhs in effects.get("~", {}).values() for n in rhs}
    exogenous = [n for n in state if n not in outcomes and n not in indicators]
    terminal = [n for n in state if n in outcomes and n not in predictors and n not in indicators]
    for group in (exogenous, terminal):
        for a, b in combinations(group, 2):
            if frozenset((a, b)) not in have:
                rows.append(_row(a, "~~", b, None, "psi", a, b))
    if means:
        for name in observed:
            in_state = name in state
            rows.append(_row(name, "~1", "", None, "alpha" if in_state else "nu", name, ""))
    table = pd.DataFrame(rows)
    table["group"] = 0
    table["row"] = [(state if m in ("beta", "psi", "alpha") else observed).index(n) for m, n in zip(table["matrix"], table["row"], strict=True)]
    table["col"] = [0 if m in ("nu", "alpha") else (observed if m == "theta" else state).index(n)
                    for m, n in zip(table["matrix"], table["col"], strict=True)]
    return Model(observed, latent, state, number(table)[list(COLUMNS)], syntax)


def number(table: pd.DataFrame) -> pd.DataFrame:
    """Number the free parameters 1…npar; rows with the same label get the same number."""
    table = table.copy()
    seen: dict[str, int] = {}
    count, free = 0, []
    for row in table.itertuples():
        if not np.isnan(row.value):
            free.append(0)
        elif row.label and row.label in seen:
            free.append(seen[row.label])
        else:
            count += 1
            free.append(count)
            if row.label:
                seen[row.label] = count
    table["free"] = free
    return table


def _row(lhs, op, rhs, mark, matrix, row, col) -> dict:
    label, value = "", np.nan
    if mark not in (None, "NA"):
        try:
            value = float(mark)
        except ValueError:
            label = mark
    return {"lhs": lhs, "op": op, "rhs": rhs, "label": label, "free": 0, "value": value, "matrix": matrix, "row": row, "col": col}


def _effects(syntax: str) -> dict[str, dict[str, dict[str, str | None]]]:
    from semopy.parser import parse_desc

    for number_, line in enumerate(syntax.splitlines(), 1):
        text = line.split("#")[0].strip()
        if text and not _LINE.match(text):
            raise ModelError(f"Line {number_} of the model cannot be read: '{text}'. Allowed are 'factor =~ item + item', "
                             "'outcome ~ predictor + label*predictor' and 'a ~~ b', with names of letters, digits, '_' and '.'.")
    effects, _ = parse_desc(syntax)
    if not effects:
        raise ModelError("The model is empty. Write at least one line such as 'factor =~ item1 + item2 + item3'.")
    return {op: {lhs: dict(rhs) for lhs, rhs in by.items()} for op, by in effects.items()}
