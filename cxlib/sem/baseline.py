"""The independence model, in which only observed predictors covary: what incremental indices compare with."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from cxlib.sem.discrepancy import Discrepancy
from cxlib.sem.imputation import d3
from cxlib.sem.model import parse, replicate
from cxlib.sem.result import Fit
from cxlib.sem.robust import inference


def baseline(fit: Fit) -> tuple[float, int]:
    """χ² and df of the independence model, in which only observed predictors covary."""
    chisq, p, x = 0.0, len(fit.model.observed), list(fit.model.fixed_x)
    rest, df = (
        [name for name in fit.model.observed if name not in x],
        p * (p - 1) // 2 - len(x) * (len(x) - 1) // 2,
    )
    if fit.missing == "fiml":
        null, at = independence(fit)
        return fit.n_used * null.value(at), len(fit.sample) * df
    if fit.missing == "mi":
        alone = np.eye(p) + np.outer(*[np.isin(fit.model.observed, x)] * 2) > 0
        parts = [part._replace(cov=part.cov * alone) for part in fit.sample]
        df *= len(parts)
        return d3(fit, parts, [baseline(copy)[0] for copy in fit.imputed], df), df
    for sample in fit.sample:
        log_x = np.linalg.slogdet(sample.cov.loc[x, x].to_numpy())[1] if x else 0.0
        log_y = np.log(np.diag(sample.cov.loc[rest, rest])).sum()
        chisq += sample.n * (log_y + log_x - np.linalg.slogdet(sample.cov.to_numpy())[1])
    return float(chisq), len(fit.sample) * df


def independence(fit: Fit) -> tuple[Discrepancy, np.ndarray]:
    """The baseline model, in which only observed predictors covary, and its estimates."""
    model = parse(
        "\n".join(
            [
                *(f"{name} ~~ {name}" for name in fit.model.observed),
                *(f"{a} ~~ {b}" for a, b in combinations(fit.model.fixed_x, 2)),
            ]
        ),
        fit.model.means,
    )
    model = replace(
        model, table=model.table.assign(exo=model.table["lhs"].isin(fit.model.fixed_x).astype(int))
    )
    model = replicate(model, fit.model.n_groups) if fit.model.n_groups > 1 else model
    theta, names = np.zeros(model.npar), list(model.observed)
    for row in model.table.itertuples():
        values, cov = fit.patterns[row.group].values, fit.sample[row.group].cov
        column = values[:, names.index(row.lhs)]
        theta[row.free - 1] = (
            np.nanmean(column)
            if row.op == "~1"
            else np.nanvar(column)
            if row.lhs == row.rhs
            else cov.loc[row.lhs, row.rhs]
        )
    return fit.discrepancy(model), theta


def baseline_scaling(fit: Fit) -> float:
    """Scaling factor of the baseline's χ², of imputed copies their mean."""
    if fit.imputed:
        return float(np.mean([baseline_scaling(copy) for copy in fit.imputed]))
    null, at = independence(fit)
    return inference(null, at, fit.patterns, fit.estimator)[1]
