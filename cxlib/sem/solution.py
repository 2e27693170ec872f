"""A solution as a :class:`~cxlib.sem.result.Fit`: its tables, whether it is one, and whether the data determine it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlib.sem.discrepancy import (
    TOLERANCE,
    Discrepancy,
    Moments,
    pseudo_inverted,
    unit_diagonal,
)
from cxlib.sem.fiml import Patterns
from cxlib.sem.model import standardize
from cxlib.sem.result import Fit, tested
from cxlib.sem.robust import inference

CONDITION = 100.0
"""Largest condition index of a solution that may be trusted.  The expected information is X'X of the
regression of the weighted moments on the parameters; with X's columns scaled to unit length the index
√(λ_max/λ_min) does not depend on units, and above 100 the parameters are collinear beyond use (Belsley,
Kuh & Welsch 1980, doi:10.1002/0471725153): the least determined combination of them has a standard
error dozens of times larger than its parts would have alone.  Intercepts are taken out first, so that
it does not depend on where the scales begin either."""


def describe(
    function: Discrepancy,
    theta: np.ndarray,
    decrement: float,
    notes: list[dict],
    groups: tuple,
    patterns: Sequence[Patterns],
    estimator: str,
    missing: str,
    cluster: str = "",
    vcov: np.ndarray | None = None,
) -> Fit:
    """Tables and warnings of a solution."""
    model, table = function.model, function.model.table
    information = function.information(theta)
    intercepts = np.isin(np.arange(model.npar) + 1, table.loc[table["op"] == "~1", "free"])
    block, across = (
        information[np.ix_(intercepts, intercepts)],
        information[np.ix_(~intercepts, intercepts)],
    )
    rest = (
        information[np.ix_(~intercepts, ~intercepts)] - across @ pseudo_inverted(block) @ across.T
    )
    values, vectors = np.linalg.eigh(unit_diagonal(rest)[0])
    identified = values[0] > 1e-10 and (
        not intercepts.any() or np.linalg.eigvalsh(unit_diagonal(block)[0])[0] > 1e-10
    )
    condition = float(np.sqrt(values[-1] / values[0])) if identified else np.inf
    vcov, scaling, more = (
        (vcov, np.nan, []) if vcov is not None else inference(function, theta, patterns, estimator)
    )
    if identified:
        notes.extend(more)
    else:
        vcov, scaling = np.full_like(information, np.nan), np.nan
    certain = bool(np.isfinite(vcov).all())
    if identified and not certain:
        notes.append(
            {
                "en": "The information matrix is not positive definite at the solution: there are no standard errors, so nothing "
                "can be tested. Use a simpler model, or missing='listwise' if the model has few complete pairs of answers.",
                "zh": "解处的信息矩阵非正定：无法给出标准误，因而不能检验。请使用更简单的模型；若两两同时作答的行很少，可改用 missing='listwise'。",
            }
        )

    number = table["free"].to_numpy(int)
    estimated = (number > 0) & table["exo"].eq(0).to_numpy()
    se = np.where(estimated, np.sqrt(np.maximum(np.diag(vcov), 0))[number - 1], np.nan)
    parameters = tested(table[["lhs", "op", "rhs"]].assign(est=model.values(theta), se=se)).assign(
        std=standardize(model, theta), label=table["label"]
    )
    if model.n_groups > 1:
        parameters["group"] = [groups[g] for g in table["group"]]
    variance = table["op"].eq("~~") & table["lhs"].eq(table["rhs"])
    endogenous = {*table.loc[table["op"] == "=~", "rhs"], *table.loc[table["op"] == "~", "lhs"]}
    r2 = parameters[variance & table["lhs"].isin(endogenous)]
    r2 = r2.assign(variable=r2["lhs"], r2=(1 - r2["std"]).where(r2["std"] >= 0))
    r2 = r2[["variable", "r2", *(["group"] if model.n_groups > 1 else [])]].reset_index(drop=True)

    converged, flaws = decrement < TOLERANCE, []
    if not converged:
        notes.append(
            {
                "en": "The estimation found no optimum: the numbers are where it stopped, not estimates.",
                "zh": "估计没有收敛：所列数字只是停止处的值，不是估计值。",
            }
        )
    for row in parameters[variance & (parameters["est"] < 0)].itertuples():
        where = f" ({row.group})" if model.n_groups > 1 else ""
        flaws.append(
            {
                "en": f"The variance of {row.lhs}{where} is estimated negative ({row.est:.3g}).",
                "zh": f"{row.lhs}{where} 的方差估计值为负（{row.est:.3g}）。",
            }
        )
    implied = []
    for group, sample in enumerate(function.samples):
        at, names = function.point(theta, group), list(model.observed)
        implied.append(
            Moments(
                pd.DataFrame(at.sigma, names, names),
                pd.Series(at.mu, names) if model.means else None,
                sample.n,
            )
        )
        part, size = model.matrices(theta, group), len(model.latent)
        rest = (
            part["theta"]
            + part["lambda"][:, size:] @ part["psi"][size:, size:] @ part["lambda"][:, size:].T
        )
        for matrix, en, zh in (
            (at.phi[:size, :size], "latent variables", "潜变量"),
            (rest, "residuals", "残差"),
        ):
            if (
                len(matrix)
                and np.diag(matrix).min() >= 0
                and np.linalg.eigvalsh(unit_diagonal(matrix)[0])[0] < -1e-10
            ):
                where = f" ({groups[group]})" if model.n_groups > 1 else ""
                flaws.append(
                    {
                        "en": f"The covariance matrix of the {en}{where} is not positive definite: one of "
                        "them correlates beyond 1 with the others.",
                        "zh": f"{zh}{where}的协方差矩阵非正定：其中一个与其余的（复）相关超出 1。",
                    }
                )
    notes.extend(
        {
            "en": flaw["en"] + " The solution is improper.",
            "zh": flaw["zh"] + "该解不恰当（improper）。",
        }
        for flaw in flaws
    )
    if condition > CONDITION:
        worst = np.flatnonzero(~intercepts)[np.argsort(-np.abs(vectors[:, 0]))[:3]] + 1
        named = ", ".join(
            " ".join(row).strip()
            for row in table.drop_duplicates("free")
            .set_index("free")
            .loc[worst, ["lhs", "op", "rhs"]]
            .to_numpy()
        )
        notes.append(
            {
                "en": "The data hardly determine the model (empirically under-identified): the smallest eigenvalue "
                f"of the scaled information is {values[0]:.1e}, the condition index {condition:.0f} where "
                f"{CONDITION:.0f} is the limit. Least determined: {named}. Do not trust their estimates "
                "and tests.",
                "zh": f"数据几乎不能确定该模型（经验识别不足）：标准化信息矩阵的最小特征值为 {values[0]:.1e}，"
                f"条件指数 {condition:.0f}（上限 {CONDITION:.0f}）。最不确定的参数：{named}；"
                "其估计和检验不可信。",
            }
        )
    if not model.df:
        notes.append(
            {
                "en": "The model has no degrees of freedom: it reproduces any data, so its fit tests nothing and has no p.",
                "zh": "模型自由度为零：它能重现任何数据，因此拟合指标不检验任何东西，也没有 p 值。",
            }
        )
    return Fit(
        model,
        theta,
        vcov,
        parameters,
        function.samples,
        tuple(implied),
        r2,
        max(function.value(theta), 0.0),
        function.n,
        condition,
        converged,
        not flaws,
        converged and not flaws and certain and condition <= CONDITION,
        tuple(notes),
        groups,
        estimator,
        missing,
        cluster,
        scaling,
        tuple(patterns),
    )
