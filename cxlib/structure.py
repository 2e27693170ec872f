"""Stage 06: the structural model — its fit, paths, explained variance, rivals, and what drives an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem, show
from cxlib.importance import relative_weights, resampled_weights
from cxlib.sem.paths import effect, inference, values
from cxlib.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ["lhs", "op", "rhs", "est", "se", "z", "p", "ci_low", "ci_high", "std"]


Fits = Mapping[str, "sem.Fit | ValueError"]
"""Model → its fit, or why it cannot be fitted."""


class StructureError(ValueError):
    """What was asked of the structural model cannot be done; the message says what to do instead."""


def sem_fit(data: pd.DataFrame, study: Study, model: str = "main", estimator: str = "ML",
            missing: str = "listwise", rng: np.random.Generator | None = None) -> sem.Fit:
    """Fit a model of the study by maximum likelihood.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, one row a respondent.
    study : Study
    model : str
        Name of a model of the study.
    estimator, missing, rng :
        As in :func:`cxlib.sem.fit`: "ML", "MLR", "MLM" or "WLSMV"; "listwise", "fiml", "mi" (with rng) or "pairwise".

    Raises
    ------
    StructureError
        The study has no such model.
    ModelError, DataError
        The model is not identified, or the data cannot be used for it.

    Notes
    -----
    R: ``lavaan::sem(syntax, data)``.
    """
    if model not in study.models:
        raise StructureError(f"The study '{study.id}' has no model '{model}'. Its models: {', '.join(study.models)}.")
    return sem.fit(data, study.syntax(model), estimator=estimator, missing=missing, rng=rng, cluster=study.cluster or None)


def fit_models(data: pd.DataFrame, study: Study, estimator: str = "ML", missing: str = "listwise",
               rng: np.random.Generator | None = None) -> dict[str, sem.Fit | ValueError]:
    """Fit every model of the study, ``main`` first; one that cannot be fitted leaves its error in its place.

    Raises
    ------
    ModelError, DataError
        The main model cannot be fitted.
    """
    fits: dict[str, sem.Fit | ValueError] = {"main": sem_fit(data, study, "main", estimator, missing, rng)}
    for name in study.models:
        if name != "main":
            try:
                fits[name] = sem_fit(data, study, name, estimator, missing, rng)
            except (sem.ModelError, sem.DataError) as error:
                fits[name] = error
    return fits


def status(fits: Fits) -> show.Result:
    """Whether each solution may be read at all (model, n, converged, proper, trustworthy, note).

    Verdicts on hypotheses of a model that is not trustworthy are withheld.
    """
    rows, notes = [], []
    for name, fit in fits.items():
        fitted = isinstance(fit, sem.Fit)
        said = [w["en"] for w in fit.warnings] if fitted else [f"It cannot be fitted: {fit}"]
        rows.append({"model": name, "n": fit.n_used if fitted else 0, "converged": fitted and fit.converged,
                     "proper": fitted and fit.proper, "trustworthy": fitted and fit.trustworthy, "note": " ".join(said)})
        chinese = "".join(w["zh"] for w in fit.warnings) if fitted else f"无法拟合：{fit}"
        if said:
            notes.append({"en": f"Model '{name}': {' '.join(said)}", "zh": f"模型“{name}”：{chinese}"})
    table = pd.DataFrame(rows)
    bad = table.loc[~table["trustworthy"], "model"].tolist()
    return show.Result(table, {
        "en": f"{len(table) - len(bad)} of {show.plural(len(table), 'model')} can be trusted"
              + (f"; verdicts on {', '.join(bad)} are withheld." if bad else "."),
        "zh": f"{len(table)} 个模型中有 {len(table) - len(bad)} 个的解可信"
              + (f"；对 {'、'.join(bad)} 不下结论。" if bad else "。")}, int(table["n"].iloc[0]),
        "convergence, admissibility and empirical identification", tuple(notes))


def fit_table(fit: sem.Fit) -> show.Result:
    """Every fit measure of a fitted model, one a row (measure, value), under lavaan's names.

    Notes
    -----
    R: ``lavaan::fitMeasures(fit)``.
    """
    table = sem.fit_measures(fit)
    value = sem.reported(table)
    said = ", ".join(f"{name.upper()} {show.number(value[name])}" for name in ("cfi", "tli", "rmsea", "srmr"))
    test = f"χ²({value['df']:.0f}) = {show.number(value['chisq'], 2)}, {show.p_text(value['pvalue'])}"
    exact = value["pvalue"] >= 0.05
    return show.Result(table, {
        "en": f"{test}: the model is {'not rejected' if exact else 'rejected'} as an exact description. {said}.",
        "zh": f"{test}：作为精确描述，模型{'未被拒绝' if exact else '被拒绝'}。{said}。"},
        fit.n_used, fit.method, tuple(fit.warnings))


def parameters(fit: sem.Fit, study: Study | None = None) -> show.Result:
    """Estimates of every parameter: unstandardised with standard error and 95% interval, std.all beside.

    With a study, the sentence uses the constructs' names.

    Notes
    -----
    R: ``lavaan::parameterEstimates(fit)``, ``lavaan::standardizedSolution(fit)$est.std``.
    """
    table = fit.parameters[[c for c in fit.parameters if c in (*COLUMNS, "group")]]
    paths = table[table["op"] == "~"].dropna(subset="p")
    text = {"en": "The model has no path with a test.", "zh": "模型中没有可检验的路径。"}
    if len(paths):
        top, sure = paths.loc[paths["std"].abs().idxmax()], int((paths["p"] < 0.05).sum())
        arrow = {lang: " → ".join(study.name(top[side], lang) if study else top[side] for side in ("rhs", "lhs"))
                 for lang in ("en", "zh")}
        std = show.number(top["std"], 2)
        text = {"en": f"{sure} of {show.plural(len(paths), 'path')} differ from zero (p < .05); the strongest is {arrow['en']}, "
                      f"{std} standardised.",
                "zh": f"{len(paths)} 条路径中有 {sure} 条显著不为零（p < .05）；最强的是{arrow['zh']}，标准化系数 {std}。"}
    return show.Result(table.reset_index(drop=True), text, fit.n_used,
                       fit.method, tuple(fit.warnings))


def other_parameters(fits: Fits, study: Study | None = None) -> dict[str, show.Result]:
    """The parameters of every fitted model but the main one, by its name."""
    return {name: parameters(fit, study) for name, fit in fits.items() if name != "main" and isinstance(fit, sem.Fit)}


def r2(fit: sem.Fit, study: Study) -> show.Result:
    """Explained variance of every outcome of the structural part (construct, r2).

    Notes
    -----
    R: ``lavaan::lavInspect(fit, "rsquare")``.
    """
    outcomes = _outcomes(fit.model)
    table = fit.r2[fit.r2["variable"].isin(outcomes)].rename(columns={"variable": "construct"})
    table = table.set_index("construct").loc[outcomes].reset_index()
    said = {lang: [f"{study.name(row.construct, lang)} {row.r2 * 100:.0f}%" for row in table.itertuples()]
            for lang in ("en", "zh")}
    return show.Result(table, {"en": f"Variance explained: {', '.join(said['en'])}.",
                               "zh": f"解释的方差：{'，'.join(said['zh'])}。"}, fit.n_used, "1 − residual variance / implied variance", tuple(fit.warnings))


def f2(fit: sem.Fit, study: Study) -> show.Result:
    """Effect size f² of every path: (R² − R² without it) / (1 − R²), from the implied covariances.

    Both R² are those of the regression of the outcome on its predictors in the covariance matrix the
    model implies, so nothing is refitted; the first equals :func:`r2` unless residuals covary with predictors.

    Notes
    -----
    Cohen (1988), doi:10.4324/9780203771587: .02 small, .15 medium, .35 large.
    R: from ``lavInspect(fit, "cov.lv")``, ``solve`` for each set of predictors.
    """
    phi = _state_covariance(fit)
    rows = []
    for outcome in _outcomes(fit.model):
        predictors = _predictors(fit.model, outcome)
        full = _explained(phi, outcome, predictors)
        for left_out in predictors:
            without = _explained(phi, outcome, [name for name in predictors if name != left_out])
            rows.append({"outcome": outcome, "predictor": left_out, "r2": full, "r2_without": without,
                         "f2": (full - without) / (1 - full)})
    table = pd.DataFrame(rows, columns=["outcome", "predictor", "r2", "r2_without", "f2"])
    large = table[table["f2"] >= 0.15].sort_values("f2", ascending=False)
    said = {lang: [f"{study.name(row.predictor, lang)} → {study.name(row.outcome, lang)} {show.number(row.f2, 2)}"
                   for row in large.itertuples()] for lang in ("en", "zh")}
    text = {"en": f"Paths of at least medium size (f² ≥ .15): {', '.join(said['en']) or 'none'}.",
            "zh": f"至少中等大小（f² ≥ .15）的路径：{'，'.join(said['zh']) or '无'}。"}
    return show.Result(table, text, fit.n_used, "Cohen's f² from the implied covariances", tuple(fit.warnings))


def compare(fits: Fits, study: Study) -> show.Result:
    """Models side by side: fit, AIC, BIC, and the χ² difference of each against the first.

    A difference test is given only where one model is nested in the other (its free parameters are a
    subset, on the same items and rows; d_df > 0 where the first is the larger one); AIC and BIC compare only
    models of the same items and rows (`comparable`).  A model whose solution cannot be trusted keeps its row and is named.

    Notes
    -----
    R: ``lavaan::lavTestLRT(large, small)``, ``AIC(fit)``, ``BIC(fit)``.
    """
    usable = {name: fit for name, fit in fits.items() if isinstance(fit, sem.Fit)}
    first, base = next(iter(usable.items()))
    rows: list[dict] = []
    notes: list[show.Text] = []
    for name, fit in fits.items():
        if not isinstance(fit, sem.Fit):
            notes.append({"en": f"Model '{name}' could not be fitted: {fit}", "zh": f"模型“{name}”无法拟合：{fit}"})
            continue
        value = sem.reported(sem.fit_measures(fit))
        row = {"model": name, "n": fit.n_used, **{key: value.get(key, np.nan) for key in (
            "npar", "chisq", "df", "pvalue", "cfi", "tli", "rmsea", "srmr", "aic", "bic")}}
        row["comparable"] = fit.n_used == base.n_used and set(fit.model.observed) == set(base.model.observed)
        nested = row["comparable"] and (_nested(fit.model, base.model) or _nested(base.model, fit.model))
        row |= dict.fromkeys(("d_chisq", "d_df", "d_p"), np.nan)
        if nested and fit.converged and base.converged and fit.df != base.df and fit.missing != "mi" and fit.estimator != "WLSMV":
            sign = 1 if fit.df > base.df else -1
            test = sem.difference(*(fit, base)[::sign]).iloc[0]
            row |= {"d_chisq": sign * test["d_chisq"], "d_df": sign * test["d_df"], "d_p": test["d_p"]}
        rows.append(row | {"nested": nested, "converged": fit.converged, "proper": fit.proper, "trustworthy": fit.trustworthy})
        if not fit.trustworthy:
            notes.append({"en": f"Model '{name}' cannot be trusted, so its row proves nothing.",
                          "zh": f"模型“{name}”的解不可信，该行不能作为依据。"})
        if not row["comparable"]:
            notes.append({"en": f"Model '{name}' uses other items or rows than '{first}': their χ², AIC, BIC do not compare.",
                          "zh": f"模型“{name}”与“{first}”的题项或样本行不同：两者的 χ²、AIC、BIC 不可比较。"})
    table = pd.DataFrame(rows)
    return show.Result(table, _comparison(table, first), base.n_used, f"χ² difference ({base.method}), AIC, BIC",
                       tuple(notes))


def bollen_stine(fit: sem.Fit, data: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> show.Result:
    """Exact fit tested by the Bollen–Stine bootstrap, which does not need normal items (measure, value).

    See :func:`cxlib.sem.bollen_stine.bollen_stine`.  It resamples complete rows by maximum likelihood; for a fit of another
    kind the table is empty and says why.
    """
    from cxlib.sem.bollen_stine import bollen_stine as resample

    if fit.missing != "listwise" or fit.estimator == "WLSMV":
        return show.Result(pd.DataFrame(columns=["measure", "value"]), {
            "en": f"Not computed: it needs complete rows and maximum likelihood, and this fit is {fit.method}.",
            "zh": f"未计算：该检验需要完整的行和极大似然估计，而本次拟合为 {fit.method}。"}, fit.n_used, "Bollen–Stine bootstrap")
    found = resample(data, fit, n_boot, rng)
    lost = int(np.isnan(found.chisq).sum())
    value = {"chisq": fit.chisq, "df": fit.df, "bollen_stine_p": found.p, "mean_chisq": np.nanmean(found.chisq),
             "draws": n_boot, "converged": n_boot - lost}
    notes = [{"en": f"{lost} of {n_boot:,} samples had no optimum.", "zh": f"{n_boot:,} 次抽样中有 {lost} 次没有最优解。"}]
    return show.Result(pd.DataFrame({"measure": list(value), "value": list(value.values())}), {
        "en": f"If the model were exactly true, χ² would average {value['mean_chisq']:.1f} with these items (df = {fit.df}) and "
              f"reach the observed {fit.chisq:.1f} in {found.p * 100:.1f}% of samples.",
        "zh": f"若模型完全成立，这些题项的 χ² 平均为 {value['mean_chisq']:.1f}（df = {fit.df}），{found.p * 100:.1f}% 的样本会达到"
              f"观测值 {fit.chisq:.1f}。"}, fit.n_used, "Bollen–Stine bootstrap", (*fit.warnings, *notes[: bool(lost)]))


def scores(fit: sem.Fit, data: pd.DataFrame) -> show.Result:
    """Regression scores of the latent variables: Φ Λ' Σ⁻¹ (x − x̄), one row a respondent.

    Respondents with a missing item have missing scores, and the warnings count them.

    Notes
    -----
    Thurstone's regression method.  R: ``lavaan::lavPredict(fit, method = "regression")``.
    """
    part = fit.model.matrices(fit.theta)
    latent, observed = list(fit.model.latent), list(fit.model.observed)
    weights = np.linalg.solve(fit.implied[0].cov.to_numpy(), part["lambda"] @ _state_covariance(fit).to_numpy())
    centred = data[observed].astype(float) - data.loc[data[observed].notna().all(axis=1), observed].mean()
    table = pd.DataFrame(centred.to_numpy() @ weights[:, : len(latent)], data.index, latent)
    lost = int(table.isna().any(axis=1).sum())
    notes = list(fit.warnings)
    if lost:
        notes.append({"en": f"{lost} respondents have a missing item and so no score.",
                      "zh": f"{lost} 名受访者有缺失题项，因此没有得分。"})
    return show.Result(table, {"en": f"Scores of {show.plural(len(latent), 'construct')} for {fit.n_used:,} respondents.",
                               "zh": f"{fit.n_used:,} 名受访者在 {len(latent)} 个构念上的得分。"},
                       fit.n_used, "regression factor scores", tuple(notes))


def drivers(data: pd.DataFrame, study: Study, rng: np.random.Generator, n_boot: int = 2000, *, outcome: str = "",
            predictors: Sequence[str] = (), model: str = "main") -> show.Result:
    """Relative importance of what drives an outcome: Johnson's weights of construct scores (item means).

    Parameters
    ----------
    data, study :
        As for :func:`sem_fit`.
    rng : numpy Generator
        For the bootstrap.
    n_boot : int
        Bootstrap samples (of whole clusters, if the study declares them).
    outcome : str
        A construct or numeric column; by default the satisfaction that has most direct predictors in the
        model, else the construct that has.
    predictors : sequence of str
        By default the outcome's direct predictors in the model.

    Returns
    -------
    Result
        outcome, predictor, weight (they add up to R²) with its 95% percentile interval, share of R², rank, and
        rank_1 … rank_k: the share of bootstrap samples in which the predictor took that rank.

    Notes
    -----
    See :func:`cxlib.importance.relative_weights`.  Weights share out what observed scores explain; they are
    no causal effects, and measurement error makes them smaller.
    """
    structure = sem.parse(study.syntax(model))
    if not outcome:
        outcome = max(_outcomes(structure), key=lambda code: (
            code in study.constructs and study.role(code) == "satisfaction", len(_predictors(structure, code))))
    if outcome not in study.constructs and outcome not in data.columns:
        raise StructureError(f"'{outcome}' is neither a construct nor a column. Constructs: {', '.join(study.constructs)}.")
    names = list(predictors) or _predictors(structure, outcome)
    if not names:
        raise StructureError(f"Model '{model}' has no path into '{outcome}'. Give predictors=[…], or another outcome.")
    frame = pd.DataFrame({name: _score(data, study, name) for name in (*names, outcome)})
    complete = frame.dropna()
    if flat := [name for name in frame if complete[name].nunique() < 2]:
        raise StructureError(f"The scores of {', '.join(flat)} do not vary, so importance is not defined. Leave them out.")
    weight = relative_weights(complete[names], complete[outcome])
    drawn = resampled_weights(complete[names], complete[outcome], n_boot, rng,
                              data.loc[complete.index, study.cluster] if study.cluster else None)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    place = (-drawn).argsort(axis=1).argsort(axis=1)
    table = pd.DataFrame({"outcome": outcome, "predictor": names, "weight": weight.to_numpy(), "ci_low": low, "ci_high": high})
    table["share"] = table["weight"] / table["weight"].sum()
    table["rank"] = table["weight"].rank(ascending=False, method="first").astype(int)
    for rank in range(len(names)):
        table[f"rank_{rank + 1}"] = (place == rank).mean(axis=0)
    table = table.sort_values("rank", kind="stable").reset_index(drop=True)
    lost, top, r_square = len(frame) - len(complete), table.iloc[0], show.number(weight.sum(), 2)
    notes = [{"en": f"{lost} respondents with a missing score were left out.", "zh": f"剔除了 {lost} 名得分缺失的受访者。"}]
    share, first = f"{top['share'] * 100:.0f}%", f"{top['rank_1'] * 100:.0f}%"
    return show.Result(table, {
        "en": f"{study.name(top['predictor'], 'en')} matters most for {study.name(outcome, 'en')}: {share} of the explained "
              f"variance (R² {r_square}), first in {first} of the bootstrap samples.",
        "zh": f"对{study.name(outcome, 'zh')}最重要的是{study.name(top['predictor'], 'zh')}：占解释方差的 {share}"
              f"（R² {r_square}），在 {first} 的重抽样中居首。"},
        len(complete), f"Johnson's relative weights of item means; percentile intervals of {n_boot:,} bootstrap samples",
        tuple(notes[:bool(lost)]))


def standardised_paths(fit: sem.Fit) -> pd.DataFrame:
    """Standardised paths with delta-method standard errors and 95% intervals (lhs, rhs, std, se, ci_low, ci_high).

    Notes
    -----
    R: ``lavaan::standardizedSolution(fit)``.
    """
    rows = fit.model.table[(fit.model.table["op"] == "~") & (fit.model.table["group"] == 0)]
    wanted = [effect(fit.model, f"{row.rhs} -> {row.lhs}") for row in rows.itertuples()]
    found = inference(fit, lambda theta: values(fit.model, wanted, theta, True), [(e.name, e.kind, np.nan) for e in wanted])
    return rows[["lhs", "rhs"]].reset_index(drop=True).assign(std=found["est"], **found[["se", "ci_low", "ci_high"]])


def plot_diagram(fit: sem.Fit, study: Study, *, full: bool = False, language: str = "en") -> show.Picture:
    """Path diagram with standardised coefficients and R² (`full`: with the items too)."""
    from dataclasses import replace

    from cxlib.sem import diagram

    drawn = diagram.plot_diagram(parameters(fit).table, study, r2(fit, study).table, n=fit.n_used, full=full, language=language)
    return replace(drawn, text={lang: words + _doubt(fit)[lang] for lang, words in drawn.text.items()})


@show.picture
def plot_paths(fit: sem.Fit, study: Study, *, language: str = "en") -> tuple[Figure, show.Text]:
    """Forest of the standardised paths with 95 % intervals, grouped by outcome."""
    from matplotlib import pyplot

    table = standardised_paths(fit)
    figure, axes = pyplot.subplots(figsize=(7.5, 0.8 + 0.36 * len(table)))
    for place, row in enumerate(table.itertuples()):
        colour = show.ROLES.get(study.role(row.lhs), show.INK) if row.lhs in study.constructs else show.INK
        unclear = row.ci_low <= 0 <= row.ci_high
        axes.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=2, alpha=0.45 if unclear else 1)
        axes.plot(row.std, place, "o", color=colour, markerfacecolor="white" if unclear else colour, markersize=7)
        axes.annotate(show.number(row.std, 2), (row.ci_high, place), xytext=(6, 0), textcoords="offset points",
                      va="center", fontsize=9, color=show.INK)
    axes.axvline(0, color=show.MUTED, linewidth=1)
    axes.set_yticks(range(len(table)), [f"{study.name(row.rhs, language)} → {study.name(row.lhs, language)}"
                                        for row in table.itertuples()])
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.6 / max(len(table), 1))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel({"en": "standardised path (95% interval)", "zh": "标准化路径系数（95% 区间）"}[language])
    return figure, {
        "en": f"Standardised paths with 95% intervals, n = {fit.n_used:,}. Colour is the role of the outcome; the interval of "
              f"a hollow point holds zero.{_doubt(fit)['en']}",
        "zh": f"标准化路径系数及 95% 区间，n = {fit.n_used:,}。颜色为结果变量的角色；空心点的区间包含零。{_doubt(fit)['zh']}"}


@show.picture
def plot_drivers(result: show.Result, study: Study, *, language: str = "en") -> tuple[Figure, show.Text]:
    """Bars of the relative weights with their intervals and the share of samples in which each ranks first."""
    from matplotlib import pyplot

    table = result.table
    outcome = table["outcome"].iloc[0]
    figure, axes = pyplot.subplots(figsize=(7.5, 1.0 + 0.45 * len(table)))
    for place, row in enumerate(table.itertuples()):
        colour = show.ROLES[study.role(row.predictor)] if row.predictor in study.constructs else show.MUTED
        axes.barh(place, row.weight, color=colour, height=0.6)
        axes.plot([row.ci_low, row.ci_high], [place, place], color=show.INK, linewidth=1.5)
        first = {"en": f"{row.share * 100:.0f}%; first in {row.rank_1 * 100:.0f}%",
                 "zh": f"{row.share * 100:.0f}%；{row.rank_1 * 100:.0f}% 居首"}[language]
        axes.annotate(first, (row.ci_high, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(table)), [study.name(name, language) for name in table["predictor"]])
    axes.invert_yaxis()
    axes.set_xlim(0, table["ci_high"].max() * 1.35)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel({"en": "relative weight (part of R²)", "zh": "相对权重（R² 的组成部分）"}[language])
    return figure, {
        "en": f"What drives {study.name(outcome, 'en')}: relative weights with 95% bootstrap intervals, n = {result.n_used:,}; "
              "beside each bar its share of the explained variance and how often it ranks first.",
        "zh": f"{study.name(outcome, 'zh')}的驱动因素：相对权重及 95% 自助区间，n = {result.n_used:,}；条旁为其占解释方差的"
              "份额，以及居首的频率。"}


def _doubt(fit: sem.Fit) -> show.Text:
    return {"en": "", "zh": ""} if fit.trustworthy else {"en": " The solution cannot be trusted.", "zh": "该解不可信。"}


def _outcomes(model: sem.Model) -> list[str]:
    """The left sides of the structural part, in the order written."""
    return list(dict.fromkeys(model.table.loc[model.table["op"] == "~", "lhs"]))


def _predictors(model: sem.Model, outcome: str) -> list[str]:
    """What has a path into `outcome`, in the order written."""
    return list(dict.fromkeys(model.table.loc[(model.table["op"] == "~") & (model.table["lhs"] == outcome), "rhs"]))


def _state_covariance(fit: sem.Fit) -> pd.DataFrame:
    """Implied covariances of the latent variables and of the observed ones in the structure."""
    phi = fit.discrepancy().point(fit.theta, 0).phi
    return pd.DataFrame(phi, fit.model.state, fit.model.state)


def _explained(phi: pd.DataFrame, outcome: str, predictors: Sequence[str]) -> float:
    """R² of a regression inside a covariance matrix."""
    r = phi.loc[list(predictors), outcome].to_numpy()
    among = phi.loc[list(predictors), list(predictors)].to_numpy()
    return float(r @ np.linalg.solve(among, r) / phi.loc[outcome, outcome])


def _nested(small: sem.Model, large: sem.Model) -> bool:
    """Whether `small` is `large` with free parameters fixed or set equal."""
    mine, theirs = _status(small), _status(large)
    absent = (False, 0.0)
    if small.npar >= large.npar or not all(theirs.get(key, absent)[0] or theirs.get(key, absent) == mine.get(key, absent)
                                           for key in {*mine, *theirs}):
        return False
    tied: dict[float, set] = {}
    for key, (free, value) in theirs.items():
        if free:
            tied.setdefault(value, set()).add(mine.get(key, absent))
    return all(len(found) == 1 for found in tied.values())


def _status(model: sem.Model) -> dict[tuple, tuple[bool, float]]:
    """(op, variables, group) → (free?, its number or the value it is fixed to)."""
    return {(r.op, *(sorted((r.lhs, r.rhs)) if r.op == "~~" else (r.lhs, r.rhs)), r.group):
            (bool(r.free), float(r.free or r.value)) for r in model.table.itertuples()}


def _comparison(table: pd.DataFrame, first: str) -> show.Text:
    """Which rival fits better, by difference test and by BIC."""
    en, zh = [], []
    for row in table[table["d_p"].notna()].itertuples():
        worse, sure = row.d_df > 0, row.d_p < 0.05
        test = f"Δχ²({abs(row.d_df):.0f}) = {show.number(abs(row.d_chisq), 2)}, {show.p_text(row.d_p)}"
        simple, rich = (row.model, first) if worse else (first, row.model)
        en.append(f"'{rich}' fits {'better' if sure else 'no better'} than the simpler '{simple}' ({test}).")
        zh.append(f"“{rich}”的拟合{'优于' if sure else '并不优于'}更简的“{simple}”（{test}）。")
    sound = table[table["comparable"] & table["trustworthy"]]
    if len(sound) > 1 and sound["bic"].notna().all():
        best = sound.loc[sound["bic"].idxmin(), "model"]
        en.append(f"The lowest BIC among comparable, trustworthy models is that of '{best}'.")
        zh.append(f"在可比且可信的模型中，“{best}”的 BIC 最低。")
    if not en:
        return {"en": f"No other model can be compared with '{first}'.", "zh": f"没有可与“{first}”比较的其他模型。"}
    return {"en": " ".join(en), "zh": "".join(zh)}


def _score(data: pd.DataFrame, study: Study, name: str) -> pd.Series:
    """Mean of a construct's items (of its constructs' means if it has those); a column as it is."""
    construct = study.constructs.get(name)
    if construct is None or not (construct.items or construct.of):
        return data[name].astype(float)
    if construct.of:
        return pd.concat([_score(data, study, part) for part in construct.of], axis=1).mean(axis=1, skipna=False)
    return data[list(construct.items)].astype(float).mean(axis=1, skipna=False)
