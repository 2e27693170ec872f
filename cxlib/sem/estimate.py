"""Maximum-likelihood estimation of a :class:`~cxlib.sem.model.Model`, from data or from moments.

χ² = n·F with divisor n; standard errors from the expected information, or robust
(:mod:`cxlib.sem.robust`); incomplete rows left out, or used in full (:mod:`cxlib.sem.fiml`); the optimum is
exact (see :mod:`cxlib.sem.discrepancy`), whatever the start.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from cxlib.core.errors import DataError
from cxlib.sem.discrepancy import (
    TOLERANCE,
    Discrepancy,
    Moments,
    minimise,
    pseudo_inverted,
    unit_diagonal,
)
from cxlib.sem.fiml import FullInformation, Patterns, account, saturated
from cxlib.sem.model import Model, ModelError, parse, replicate, standardize
from cxlib.sem.robust import count_clusters, inference
from cxlib.sem.start import starting_values

Z95 = 1.959963984540054
MANY = 0.10
"""A larger share of rows lost to missing answers is called many, and the way round it named."""
CONDITION = 100.0
"""Largest condition index of a solution that may be trusted.  The expected information is X'X of the
regression of the weighted moments on the parameters; with X's columns scaled to unit length the index
√(λ_max/λ_min) does not depend on units, and above 100 the parameters are collinear beyond use (Belsley,
Kuh & Welsch 1980, doi:10.1002/0471725153): the least determined combination of them has a standard
error dozens of times larger than its parts would have alone.  Intercepts are taken out first, so that
it does not depend on where the scales begin either."""


METHODS = {
    ("ML", "listwise"): "maximum likelihood, standard errors from the expected information",
    (
        "MLR",
        "listwise",
    ): "maximum likelihood, {robust}, χ² scaled by Yuan and Bentler (Mplus variant)",
    ("ML", "mi"): "maximum likelihood in multiply imputed data, pooled by Rubin's rules, χ² as D3",
    (
        "MLR",
        "mi",
    ): "maximum likelihood in multiply imputed data, {robust}, pooled by Rubin's rules, χ² as D3, scaled by the mean "
    "of the Yuan-Bentler factors (Mplus variant)",
    (
        "ML",
        "fiml",
    ): "full-information maximum likelihood, standard errors from the observed information",
    (
        "MLR",
        "fiml",
    ): "full-information maximum likelihood, {robust}, χ² scaled by Yuan and Bentler (Mplus variant)",
    **{
        (
            "WLSMV",
            missing,
        ): "WLSMV: DWLS of polychoric correlations, robust standard errors, scaled and shifted χ²"
        for missing in ("listwise", "pairwise")
    },
}
"""What an estimator does, by its name and the treatment of missing values."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model.

    theta : free numbers in the order of ``model.table.free``; vcov : their covariances, 2/n H⁻¹ of
    the expected information ("fiml": of the observed one), robust with estimator "MLR"; parameters : lhs, op, rhs, est, se, z, p,
    ci_low, ci_high, std (std.all), label, and group if there are several (a fixed one has no se); sample, implied : :class:`Moments`
    of each group; r2 : variable, r2; condition : largest variance inflation of an estimate;
    converged, proper : whether the optimum was reached and is admissible; trustworthy : both, and
    the data determine every parameter and its standard error, else verdicts are withheld; warnings : reasons, en and zh;
    scaling : what χ² is divided by to be scaled (NaN for "ML"); cluster : column whose clusters the standard errors
    take as the independent units (empty: rows); patterns : the rows of each group, where
    the rows themselves were used; imputed : the fits that "mi" pooled.
    """

    model: Model
    theta: np.ndarray = field(repr=False)
    vcov: np.ndarray = field(repr=False)
    parameters: pd.DataFrame = field(repr=False)
    sample: tuple[Moments, ...] = field(repr=False)
    implied: tuple[Moments, ...] = field(repr=False)
    r2: pd.DataFrame = field(repr=False)
    fmin: float
    n_used: int
    condition: float
    converged: bool
    proper: bool
    trustworthy: bool
    warnings: tuple[dict[str, str], ...] = ()
    groups: tuple[str, ...] = ("",)
    estimator: str = "ML"
    missing: str = "listwise"
    cluster: str = ""
    scaling: float = np.nan
    patterns: tuple[Patterns, ...] = field(default=(), repr=False)
    imputed: tuple[Fit, ...] = field(default=(), repr=False)

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return self.model.df

    @property
    def chisq(self) -> float:
        """χ² = n·F."""
        return self.n_used * self.fmin

    @property
    def method(self) -> str:
        """What was done, in words."""
        errors = self.clustering["en"].strip(" .").replace("Standard errors are", "standard errors")
        return METHODS[self.estimator, self.missing].format(
            robust=errors or "Huber-White standard errors"
        )

    @property
    def clustering(self) -> dict[str, str]:
        """A sentence on the clusters that the standard errors allow for, empty if there are none."""
        if not self.cluster:
            return {"en": "", "zh": ""}
        j = count_clusters((self.imputed[0] if self.imputed else self).patterns)
        return {
            "en": f" Standard errors are robust to non-normality and to respondents of one {self.cluster} ({j} clusters).",
            "zh": f"标准误对非正态和同一 {self.cluster} 的受访者（{j} 个群）稳健。",
        }

    def discrepancy(self, model: Model | None = None) -> Discrepancy:
        """The function that was minimised, or the same of another model of the same variables."""
        return _function(
            model or self.model, self.sample, self.patterns if self.missing == "fiml" else ()
        )

    def standardized(self) -> np.ndarray:
        """Completely standardised values (std.all), one a row of `parameters`."""
        return standardize(self.model, self.theta)

    def latent_covariance(self, group: int = 0) -> pd.DataFrame:
        """Implied covariances of the latent variables."""
        phi = self.discrepancy().point(self.theta, group).phi
        size = len(self.model.latent)
        return pd.DataFrame(phi[:size, :size], self.model.latent, self.model.latent)

    def parameter(self, lhs: str, op: str, rhs: str = "", group: int = 0) -> pd.Series:
        """The row of `parameters` with this name."""
        table = self.parameters
        pair = (table["lhs"] == lhs) & (table["rhs"] == rhs)
        if op == "~~":
            pair |= (table["lhs"] == rhs) & (table["rhs"] == lhs)
        found = table[pair & (table["op"] == op)]
        if len(found) <= group:
            known = table.loc[
                (table["op"] == "|") == (op == "|"), ["lhs", "op", "rhs"]
            ].drop_duplicates()
            raise ModelError(
                f"'{lhs} {op} {rhs}' is not in the model. Its {'thresholds' if op == '|' else 'parameters'} are: "
                + ", ".join(" ".join(name) for name in known.to_numpy())
                + "."
            )
        return found.iloc[group]


def fit(
    data: pd.DataFrame,
    model: str | Model,
    *,
    means: bool = False,
    group: str | None = None,
    start: np.ndarray | None = None,
    estimator: Literal["ML", "MLR", "WLSMV"] = "ML",
    missing: Literal["listwise", "fiml", "mi", "pairwise"] = "listwise",
    rng: np.random.Generator | None = None,
    imputations: int = 20,
    cluster: str | None = None,
) -> Fit:
    """Fit a model to raw data by normal-theory maximum likelihood, or ordinal data by WLSMV.

    What was done with missing values the warnings say.  Fisher
    scoring and Newton steps go to the exact optimum from `start` or, if it leads nowhere, from simple values of our own.
    Negative variances are allowed, as in
    lavaan, and warned of.

    Parameters
    ----------
    data : DataFrame
        One row a respondent; the model's variables numeric.
    model : str or Model
        lavaan syntax, or what :func:`~cxlib.sem.model.parse` made of it.
    means : bool
        Estimate intercepts too (syntax only; always with `group`).
    group : str, optional
        Column of groups, taken in sorted order; a one-group model is configural in them.
    start : ndarray, optional
        Free numbers to start from.
    estimator : str
        "ML"; "MLR" gives the same estimates with standard errors and a scaled χ² that hold
        without normality (:mod:`cxlib.sem.robust`); "WLSMV" is for ordinal items (:mod:`cxlib.sem.ordinal`,
        which also takes missing = "pairwise").
    missing : str
        "listwise" leaves out every row with a missing value in the model's variables; "fiml" uses what
        each row has (:mod:`cxlib.sem.fiml`), with intercepts, and leaves out rows without any value or
        without one of an observed predictor; "mi" pools the fits of `imputations` completed copies, "ML" or
        "MLR" (:mod:`cxlib.sem.imputation`).  Both need values missing at random given those observed.
    rng : numpy Generator
        For "mi".
    cluster : str, optional
        Column of clusters (customers of one firm): with "MLR" the standard errors and the scaled χ² do not take the
        rows of one cluster as independent, and the model has intercepts; any other estimator warns that it does.

    Raises
    ------
    ModelError
        If the model cannot be read or has more parameters than moments.
    DataError
        If a variable is missing, not numeric, constant or a combination of others, two are never observed
        together, or rows are too few.
    ValueError
        For an estimator or a treatment of missing values that there is not.

    Notes
    -----
    R: ``lavaan::sem(model, data, meanstructure = means, group = group, estimator = estimator,
    missing = "ml", cluster = cluster)``.
    """
    if cluster and estimator != "MLR":
        found = fit(
            data,
            model,
            means=means,
            group=group,
            start=start,
            estimator=estimator,
            missing=missing,
            rng=rng,
            imputations=imputations,
        )
        return replace(
            found,
            warnings=(
                *found.warnings,
                {
                    "en": f"Standard errors of the {estimator} fit take respondents of one {cluster} as independent; estimator='MLR' does not.",
                    "zh": f"{estimator} 拟合的标准误把同一 {cluster} 的受访者视为独立；estimator='MLR' 则不然。",
                },
            ),
        )
    if estimator == "WLSMV":
        from cxlib.sem.ordinal import fit_ordinal

        if means:
            raise ModelError(
                "estimator='WLSMV' has thresholds instead of intercepts. Leave out means=, or use 'MLR'."
            )
        return fit_ordinal(data, model, group=group, missing=missing, start=start)
    if (estimator, missing) not in METHODS:
        raise ValueError(
            f"estimator='{estimator}' with missing='{missing}' is not available. Use estimator='ML' or 'MLR' "
            "with missing='listwise', 'fiml' or 'mi', 'WLSMV' with 'listwise' or 'pairwise'."
        )
    if missing == "mi" and (rng is None or imputations < 2):
        raise ValueError(
            "missing='mi' needs rng=, a numpy Generator to draw from, and imputations= of 2 or more."
        )
    full = missing == "fiml"
    if not isinstance(model, Model):
        model = parse(model, means or full or bool(group or cluster))
    elif (means or full or cluster) and not model.means:
        raise ModelError(
            "Intercepts (means=True, missing='fiml', cluster=) need a model that has them. Use parse(syntax, means=True)."
        )
    columns = [name for name in (group, cluster) if name]
    values = _numeric(data, model, columns)
    needed = {"listwise": values, "fiml": values[list(model.fixed_x)], "mi": values.iloc[:, :0]}[
        missing
    ]
    needed = pd.concat([needed, data[columns]], axis=1)
    kept = needed.notna().all(axis=1) & values.notna().any(axis=1)
    labels = pd.Series("", index=data.index) if group is None else data[group]
    units = None if cluster is None else pd.factorize(data[cluster])[0]
    levels = sorted(labels[kept].unique())
    if group is not None and model.n_groups == 1:
        model = replicate(model, len(levels))
    groups, own = (
        tuple(str(level) for level in levels),
        [kept & (labels == level) for level in levels],
    )
    parts, notes = [values[mine] for mine in own], []
    if cluster is not None and any(len(np.unique(units[mine])) < 2 for mine in own):
        raise DataError(
            f"All rows (of a group) have the same '{cluster}', so nothing says how clusters vary. Leave out cluster=."
        )

    def solve(rows: list[pd.DataFrame], missing: str, notes: Sequence[dict[str, str]] = ()) -> Fit:
        """Fit these rows of every group."""
        samples = [saturated(part) if full else _moments(part) for part in rows]
        patterns = (
            [
                Patterns(part.to_numpy(), None if cluster is None else units[mine])
                for part, mine in zip(rows, own, strict=True)
            ]
            if full or estimator != "ML"
            else []
        )
        return _fit(
            model, samples, start, list(notes), groups, patterns, estimator, missing, cluster or ""
        )

    if missing == "mi":
        from cxlib.sem.imputation import impute, pool

        return pool(
            [solve([impute(part, rng) for part in parts], "listwise") for _ in range(imputations)],
            account(values, kept, needed),
        )
    if full:
        notes = account(values, kept, needed)
    elif dropped := int((~kept).sum()):
        instead = {
            "en": " missing='fiml' uses every answer given.",
            "zh": "missing='fiml' 则使用全部已有答案。",
        }
        instead = instead if dropped > MANY * len(data) else {"en": "", "zh": ""}
        notes = [
            {
                "en": f"{dropped} of {len(data)} rows have a missing value in the model's variables"
                f"{f' or {cluster}' if cluster else ''} and were left out (listwise deletion); {len(data) - dropped} were used."
                f"{instead['en']}",
                "zh": f"{len(data)} 行中有 {dropped} 行在模型变量{f'或 {cluster} ' if cluster else ''}上有缺失值，已整行剔除；"
                f"使用 {len(data) - dropped} 行。{instead['zh']}",
            }
        ]
    return solve(parts, missing, notes)


def fit_moments(
    covariances: pd.DataFrame | Sequence[pd.DataFrame],
    n: int | Sequence[int],
    model: str | Model,
    means: pd.Series | Sequence[pd.Series] | None = None,
    start: np.ndarray | None = None,
) -> Fit:
    """Fit a model to covariances with divisor n (a list of them for several groups).

    Raises
    ------
    ModelError, DataError
        As :func:`fit`.

    Notes
    -----
    R: ``lavaan::sem(model, sample.cov = S, sample.nobs = n, sample.cov.rescale = FALSE)``.
    """
    several = not isinstance(covariances, pd.DataFrame)
    covariances, sizes = (list(covariances), list(n)) if several else ([covariances], [n])
    averages = [None] * len(sizes) if means is None else list(means) if several else [means]
    if not isinstance(model, Model):
        model = parse(model, means is not None)
    if len(covariances) > 1 and model.n_groups == 1:
        model = replicate(model, len(covariances))
    if model.means and means is None:
        raise ModelError(
            "The model has intercepts but there are no means=. Give the sample means too."
        )
    samples = []
    for cov, mean, size in zip(covariances, averages, sizes, strict=True):
        present(model.observed, cov.columns)
        names = list(model.observed)
        samples.append(
            Moments(
                cov.loc[names, names].astype(float),
                None if mean is None else mean[names],
                int(size),
            )
        )
    return _fit(
        model,
        samples,
        start,
        [],
        tuple(str(g + 1) for g in range(len(samples))) if several else ("",),
    )


def _moments(rows: pd.DataFrame) -> Moments:
    """Moments of complete rows."""
    centred = rows - rows.mean()
    return Moments(centred.T @ centred / len(rows), rows.mean(), len(rows))


def _function(
    model: Model, samples: Sequence[Moments], patterns: Sequence[Patterns]
) -> Discrepancy:
    """The discrepancy of rows by pattern, or of moments if there are none."""
    return FullInformation(model, samples, patterns) if patterns else Discrepancy(model, samples)


def _fit(
    model: Model,
    samples: list[Moments],
    start: np.ndarray | None,
    notes: list[dict],
    groups: tuple,
    patterns: Sequence[Patterns] = (),
    estimator: str = "ML",
    missing: str = "listwise",
    cluster: str = "",
) -> Fit:
    """Check the moments, minimise, and describe what was found."""
    if not samples:
        raise DataError(
            f"There are 0 complete rows for {len(model.observed)} variables. See which columns have the "
            "missing values.",
            f"模型的 {len(model.observed)} 个变量没有一行完整数据。请查看缺失值在哪些列。",
        )
    if len(samples) != model.n_groups:
        raise ModelError(f"The model has {model.n_groups} groups but the data have {len(samples)}.")
    if not model.npar:
        raise ModelError(
            "Every parameter of the model is fixed, so there is nothing to estimate. Free at least one."
        )
    if model.df < 0:
        raise ModelError(
            f"The model has {model.npar} free numbers but the data only {model.npar + model.df} moments "
            f"(df = {model.df}), so it is not identified. Remove paths or covariances, or fix some."
        )
    if start is not None and np.shape(start) != (model.npar,):
        raise ModelError(
            f"start= has shape {np.shape(start)}, but the model has {model.npar} free numbers."
        )
    for sample in samples:
        _usable(sample, model)
    function, found = _function(model, samples, patterns if missing == "fiml" else ()), []
    moments = Discrepancy(model, samples)
    for propose in (
        lambda: start,
        lambda: (
            minimise(moments, starting_values(model, samples))[0] if missing == "fiml" else None
        ),
        lambda: starting_values(model, samples),
    ):
        if (first := propose()) is not None:
            found.append(minimise(function, np.asarray(first, float)))
            if found[-1][1] < TOLERANCE:
                break
    theta, decrement = min(
        found, key=lambda solution: (solution[1] >= TOLERANCE, function.value(solution[0]))
    )
    return describe(
        function, theta, decrement, notes, groups, patterns, estimator, missing, cluster
    )


def present(wanted: Sequence[str], columns: pd.Index) -> None:
    """Raise for a variable that the data do not have, with the nearest names."""
    have = [str(name) for name in columns]
    for name in wanted:
        if name not in have:
            near = difflib.get_close_matches(name, have, n=3, cutoff=0.5)
            hint = (
                f"Did you mean {' or '.join(near)}?"
                if near
                else f"Its columns are {', '.join(have[:20])}."
            )
            raise DataError(
                f"The model uses '{name}', which is not a column of the data. {hint} "
                f"If '{name}' is a latent variable, define it: '{name} =~ item1 + item2 + item3'."
            )


def _numeric(data: pd.DataFrame, model: Model, columns: Sequence[str]) -> pd.DataFrame:
    """The model's columns as floats, NaN where missing."""
    present([*model.observed, *columns], data.columns)
    out = {}
    for name in model.observed:
        column = data[name]
        if isinstance(column, pd.DataFrame):
            raise DataError(
                f"The data have {column.shape[1]} columns called '{name}'. Give each its own name."
            )
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
            raise DataError(
                f"Column '{name}' is not numeric (it is {column.dtype}). Code it as numbers first, "
                "for a category one 0/1 column a level."
            )
        out[name] = column.to_numpy(float, na_value=np.nan)
        if np.isinf(out[name]).any():
            raise DataError(
                f"Column '{name}' has infinite values. Set them to missing or correct them."
            )
    return pd.DataFrame(out, index=data.index)


def _usable(sample: Moments, model: Model) -> None:
    """Raise where a covariance matrix cannot be fitted, and name the columns to blame."""
    s, names = sample.cov.to_numpy(), list(model.observed)
    if sample.n <= len(names):
        raise DataError(
            f"There are {sample.n} complete rows for {len(names)} variables; more rows than variables are "
            "needed. Use a smaller model, or see which columns have the missing values.",
            f"{len(names)} 个变量只有 {sample.n} 个完整行；行数须多于变量数。请用更小的模型，或查看缺失值在哪些列。",
        )
    sd = np.sqrt(np.maximum(np.diag(s), 0))
    unit = np.where(sd > 0, sd, 1)
    if not np.isfinite(s).all() or not np.allclose(
        s / np.outer(unit, unit), s.T / np.outer(unit, unit)
    ):
        raise DataError(
            "The covariance matrix has missing or infinite entries, or is not symmetric."
        )
    size = np.zeros(len(sd)) if sample.mean is None else 1e-10 * np.abs(sample.mean.to_numpy())
    if (flat := sd <= size).any():
        name = names[int(np.argmax(flat))]
        raise DataError(
            f"Column '{name}' is constant. Leave it out of the model.",
            f"列“{name}”的取值全部相同，请将其移出模型。",
        )
    values, vectors = np.linalg.eigh(s / np.outer(sd, sd))
    if values[0] < 1e-10:
        guilty = [
            name for name, weight in zip(names, vectors[:, 0], strict=True) if abs(weight) > 1e-4
        ]
        raise DataError(
            f"Columns {', '.join(guilty)} are identical or exact combinations of each other, so the "
            "covariance matrix cannot be inverted. Leave one of them out.",
            f"列 {'、'.join(guilty)} 相同或互为精确组合，协方差矩阵不可逆。请去掉其中一个。",
        )


def tested(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows (est, se) with z, p and 95 % interval."""
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = rows["est"] / rows["se"]
    return rows.assign(
        z=z,
        p=2 * ndtr(-np.abs(z)),
        ci_low=rows["est"] - Z95 * rows["se"],
        ci_high=rows["est"] + Z95 * rows["se"],
    )


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
