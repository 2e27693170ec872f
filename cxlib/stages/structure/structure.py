"""Stage 06: the structural model — its fit, paths, explained variance, rivals and scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core.absent import absent, reason, stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Picture, Result, Text, relied
from cxlib.core.words import joined, number, p_text, plural
from cxlib.sem.paths import predictors
from cxlib.statistics.structural import (
    effect_sizes,
    nested,
    regression_scores,
    standardised_paths,
)
from cxlib.study.schema import Study

COLUMNS = ["lhs", "op", "rhs", "est", "se", "z", "p", "ci_low", "ci_high", "std"]

Fits = Mapping[str, "sem.Fit | ValueError"]
"""Model → its fit, or why it cannot be fitted."""


def sem_fit(
    data: pd.DataFrame,
    study: Study,
    model: str = "main",
    estimator: str = "ML",
    missing: str = "listwise",
    rng: np.random.Generator | None = None,
) -> sem.Fit:
    """Fit a model of the study by maximum likelihood.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses, one row a respondent.
    study : Study
    model : str
        Name of a model of the study.
    estimator, missing, rng :
        As in :func:`cxlib.sem.fit`: "ML", "MLR" or "WLSMV"; "listwise", "fiml", "mi" (with rng) or "pairwise".

    Raises
    ------
    Impossible
        The study has no such model.
    ModelError, DataError
        The model is not identified, or the data cannot be used for it.

    Notes
    -----
    R: ``lavaan::sem(syntax, data)``.
    """
    if model not in study.models:
        raise Impossible(
            f"The study '{study.id}' has no model '{model}'. Its models: {', '.join(study.models)}."
        )
    return sem.fit(
        data,
        study.syntax(model),
        estimator=estimator,
        missing=missing,
        rng=rng,
        cluster=study.cluster or None,
    )


def fit_models(
    data: pd.DataFrame,
    study: Study,
    estimator: str = "ML",
    missing: str = "listwise",
    rng: np.random.Generator | None = None,
) -> dict[str, sem.Fit | ValueError]:
    """Fit every model of the study, ``main`` first; one that cannot be fitted leaves its error in its place."""
    fits: dict[str, sem.Fit | ValueError] = {}
    for name in ("main", *(other for other in study.models if other != "main")):
        try:
            fits[name] = sem_fit(data, study, name, estimator, missing, rng)
        except (sem.ModelError, sem.DataError) as error:
            fits[name] = error
    return fits


def status(fits: Fits, language: str = "en") -> Result:
    """Whether each solution may be read at all (model, n, converged, proper, trustworthy, note in `language`).

    Verdicts on hypotheses of a model that is not trustworthy are withheld.
    """
    rows, notes = [], []
    for name, fit in fits.items():
        fitted = isinstance(fit, sem.Fit)
        said = (
            fit.warnings
            if fitted
            else [
                {
                    lang: start + reason(fit)[lang]
                    for lang, start in (("en", "It cannot be fitted: "), ("zh", "无法拟合："))
                }
            ]
        )
        english, chinese = (
            " ".join(note["en"] for note in said),
            "".join(note["zh"] for note in said),
        )
        rows.append(
            {"model": name, "n": fit.n_used if fitted else 0}
            | {key: fitted and getattr(fit, key) for key in ("converged", "proper", "trustworthy")}
            | {"note": chinese if language == "zh" else english}
        )
        if said:
            notes.append({"en": f"Model '{name}': {english}", "zh": f"模型“{name}”：{chinese}"})
    table = pd.DataFrame(rows)
    bad = table.loc[~table["trustworthy"], "model"].tolist()
    return Result(
        table,
        {
            "en": f"{len(table) - len(bad)} of {plural(len(table), 'model')} can be trusted"
            + (f"; verdicts on {', '.join(bad)} are withheld." if bad else "."),
            "zh": f"{len(table)} 个模型中有 {len(table) - len(bad)} 个的解可信"
            + (f"；对 {'、'.join(bad)} 不下结论。" if bad else "。"),
        },
        int(table["n"].iloc[0]),
        "convergence, admissibility and empirical identification",
        tuple(notes),
    )


@stage
def fit_table(fit: sem.Fit) -> Result:
    """Every fit measure of a fitted model, one a row (measure, value), under lavaan's names.

    Notes
    -----
    R: ``lavaan::fitMeasures(fit)``.
    """
    table = sem.fit_measures(fit)
    value = sem.reported(table)
    said = ", ".join(
        f"{name.upper()} {number(value[name])}" for name in ("cfi", "tli", "rmsea", "srmr")
    )
    test = f"χ²({value['df']:.0f}) = {number(value['chisq'], 2)}, {p_text(value['pvalue'])}"
    exact = not value["pvalue"] < 0.05
    return Result(
        table,
        _told(
            fit,
            {
                "en": f"{test}: the model is {'not rejected' if exact else 'rejected'} as an exact description. {said}.",
                "zh": f"{test}：作为精确描述，模型{'未被拒绝' if exact else '被拒绝'}。{said}。",
            },
        ),
        fit.n_used,
        fit.method,
        tuple(fit.warnings),
    )


@stage
def parameters(fit: sem.Fit, study: Study) -> Result:
    """Estimates of every parameter: unstandardised with standard error and 95% interval, std.all beside.

    Notes
    -----
    R: ``lavaan::parameterEstimates(fit)``, ``lavaan::standardizedSolution(fit)$est.std``.
    """
    table = fit.parameters[[c for c in fit.parameters if c in (*COLUMNS, "group")]]
    paths = table[table["op"] == "~"].dropna(subset=["p", "std"])
    text = {"en": "The model has no path with a test.", "zh": "模型中没有可检验的路径。"}
    if len(paths):
        top, sure = paths.loc[paths["std"].abs().idxmax()], int((paths["p"] < 0.05).sum())
        arrow = {
            lang: " → ".join(study.name(top[side], lang) for side in ("rhs", "lhs"))
            for lang in ("en", "zh")
        }
        std = number(top["std"], 2)
        text = {
            "en": f"{sure} of {plural(len(paths), 'path')} differ from zero (p < .05); the strongest is {arrow['en']}, "
            f"{std} standardised.",
            "zh": f"{len(paths)} 条路径中有 {sure} 条显著不为零（p < .05）；最强的是{arrow['zh']}，标准化系数 {std}。",
        }
    bare, fixed = (
        int(table["se"].isna().sum()),
        int(((fit.model.table["free"] == 0) | (fit.model.table["exo"] == 1)).sum()),
    )
    rest = (
        {"en": "follow from the others", "zh": "由其他参数推出"}
        if fit.estimator == "WLSMV"
        else {"en": "undetermined", "zh": "无法确定"}
    )
    more = (
        {"en": f", {bare - fixed} {rest['en']}", "zh": f"，{bare - fixed} 个{rest['zh']}"}
        if bare > fixed
        else {"en": "", "zh": ""}
    )
    text = {
        "en": f"{text['en']} {bare} of {len(table)} parameters have no standard error: {fixed} fixed or taken from the data{more['en']}.",
        "zh": f"{text['zh']}{len(table)} 个参数中有 {bare} 个没有标准误：{fixed} 个是固定值或取自数据{more['zh']}。",
    }
    text = joined(text, fit.clustering)
    return Result(
        table.reset_index(drop=True), _told(fit, text), fit.n_used, fit.method, tuple(fit.warnings)
    )


def other_parameters(fits: Fits, study: Study) -> dict[str, Result]:
    """The parameters of every fitted model but the main one, by its name."""
    return {name: parameters(fit, study) for name, fit in _fitted(fits).items() if name != "main"}


@stage
def r2(fit: sem.Fit, study: Study) -> Result:
    """Explained variance of every outcome of the structural part (construct, r2).

    Notes
    -----
    R: ``lavaan::lavInspect(fit, "rsquare")``.
    """
    outcomes = list(predictors(fit.model))
    table = fit.r2[fit.r2["variable"].isin(outcomes)].rename(columns={"variable": "construct"})
    table = table.set_index("construct").loc[outcomes].reset_index()
    said = {
        lang: [
            f"{study.name(row.construct, lang)} {row.r2 * 100:.0f}%"
            for row in table.dropna().itertuples()
        ]
        or [none]
        for lang, none in (("en", "none"), ("zh", "无"))
    }
    beyond = _beyond(table.loc[table["r2"].isna(), "construct"], study)
    return Result(
        table,
        _told(
            fit,
            {
                "en": " ".join(
                    [f"Variance explained: {', '.join(said['en'])}.", *(w["en"] for w in beyond)]
                ),
                "zh": "".join(
                    [f"解释的方差：{'，'.join(said['zh'])}。", *(w["zh"] for w in beyond)]
                ),
            },
        ),
        fit.n_used,
        "1 − residual variance / implied variance",
        (*fit.warnings, *beyond),
    )


@stage
def f2(fit: sem.Fit, study: Study) -> Result:
    """Effect size f² of every path: (R² − R² without it) / (1 − R²), from the implied covariances.

    Both R² are those of the regression of the outcome on its predictors in the covariance matrix the
    model implies, so nothing is refitted; the first equals :func:`r2` unless residuals covary with predictors.
    Without a predictor R² falls by its b² / (V⁻¹)ⱼⱼ over the variance of the outcome, V the predictors' covariances.

    Notes
    -----
    Cohen (1988), doi:10.4324/9780203771587: .02 small, .15 medium, .35 large.
    R: from ``lavInspect(fit, "cov.lv")``, ``solve`` for each set of predictors.
    """
    table = effect_sizes(fit)
    large = table[table["f2"] >= 0.15].sort_values("f2", ascending=False)
    said = {
        lang: [
            f"{study.name(row.predictor, lang)} → {study.name(row.outcome, lang)} {number(row.f2, 2)}"
            for row in large.itertuples()
        ]
        for lang in ("en", "zh")
    }
    text = {
        "en": f"Paths of at least medium size (f² ≥ .15): {', '.join(said['en']) or 'none'}.",
        "zh": f"至少中等大小（f² ≥ .15）的路径：{'，'.join(said['zh']) or '无'}。",
    }
    return Result(
        table,
        _told(fit, text),
        fit.n_used,
        "Cohen's f² from the implied covariances",
        (*fit.warnings, *_beyond(table.loc[table["f2"].isna(), "outcome"].unique(), study)),
    )


def compare(fits: Fits, study: Study) -> Result:
    """Models side by side: fit, AIC, BIC, and the χ² difference of each against the first.

    A difference test is given only where one model is nested in the other (its free parameters are a
    subset, on the same items and rows; d_df > 0 where the first is the larger one); AIC and BIC compare only
    models of the same items and rows (`comparable`).  A model whose solution cannot be trusted keeps its row and is named.

    Notes
    -----
    R: ``lavaan::lavTestLRT(large, small)``, ``AIC(fit)``, ``BIC(fit)``.
    """
    if not (usable := _fitted(fits)):
        return absent(fits["main"])
    first, base = next(iter(usable.items()))
    rows, notes = [], []
    for name, fit in fits.items():
        if not isinstance(fit, sem.Fit):
            why = reason(fit)
            notes.append(
                {
                    "en": f"Model '{name}' could not be fitted: {why['en']}",
                    "zh": f"模型“{name}”无法拟合：{why['zh']}",
                }
            )
            continue
        value = sem.reported(sem.fit_measures(fit))
        comparable = fit.n_used == base.n_used and set(fit.model.observed) == set(
            base.model.observed
        )
        inside = comparable and (nested(fit.model, base.model) or nested(base.model, fit.model))
        row = {
            "model": name,
            "n": fit.n_used,
            **{
                key: value.get(key, np.nan)
                for key in (
                    "npar",
                    "chisq",
                    "df",
                    "pvalue",
                    "cfi",
                    "tli",
                    "rmsea",
                    "srmr",
                    "aic",
                    "bic",
                )
            },
            "comparable": comparable,
            "d_chisq": np.nan,
            "d_df": np.nan,
            "d_p": np.nan,
        }
        if (
            inside
            and fit.converged
            and base.converged
            and fit.df != base.df
            and fit.missing != "mi"
        ):
            sign = 1 if fit.df > base.df else -1
            test = sem.difference(*(fit, base)[::sign]).iloc[0]
            row |= {
                "d_chisq": sign * test["d_chisq"],
                "d_df": sign * test["d_df"],
                "d_p": test["d_p"],
            }
        rows.append(
            row
            | {
                "nested": inside,
                "converged": fit.converged,
                "proper": fit.proper,
                "trustworthy": fit.trustworthy,
            }
        )
        if not fit.trustworthy:
            notes.append(
                {
                    "en": f"Model '{name}' cannot be trusted, so its row proves nothing.",
                    "zh": f"模型“{name}”的解不可信，该行不能作为依据。",
                }
            )
        if not comparable:
            notes.append(
                {
                    "en": f"Model '{name}' uses other items or rows than '{first}': their χ², AIC, BIC do not compare.",
                    "zh": f"模型“{name}”与“{first}”的题项或样本行不同：两者的 χ²、AIC、BIC 不可比较。",
                }
            )
    table = pd.DataFrame(rows)
    notes.append(
        {
            "en": f"No difference test for {', '.join(table.loc[table['d_p'].isna(), 'model'])}: the others are tested against "
            f"'{first}' if nested, of the same rows. Imputed data give no such test; neither they nor WLSMV have AIC and BIC.",
            "zh": f"{'、'.join(table.loc[table['d_p'].isna(), 'model'])} 没有差异检验：其他模型须与“{first}”嵌套且样本行相同。"
            "插补数据没有该检验；插补数据与 WLSMV 都没有 AIC 和 BIC。",
        }
    )
    return Result(
        table,
        _comparison(table, first),
        base.n_used,
        f"χ² difference ({base.method}), AIC, BIC",
        tuple(notes),
    )


def side_by_side(fits: Fits) -> Result:
    """The standardised paths of every fitted model beside each other (lhs, rhs, one column a model, empty where it has no such path)."""
    if not (usable := _fitted(fits)):
        return absent(fits["main"])
    paths = {
        name: fit.parameters.query("op == '~'").set_index(["lhs", "rhs"])["std"]
        for name, fit in usable.items()
    }
    table = pd.concat(paths, axis=1, sort=False).reset_index()
    shared = table[list(paths)].dropna()
    alone = {
        "en": f"One model was fitted: its {plural(len(table), 'path')}, with no other model to stand beside.",
        "zh": f"只拟合了一个模型：共 {len(table)} 条路径，没有其他模型可对照。",
    }
    gap = number((shared.max(axis=1) - shared.min(axis=1)).max(), 2)
    doubtful = [
        {"en": f"Model '{name}' cannot be trusted.", "zh": f"模型“{name}”的解不可信。"}
        for name, fit in usable.items()
        if not fit.trustworthy
    ]
    return Result(
        table,
        alone
        if len(paths) == 1
        else {
            "en": f"Paths in all {len(paths)} models: {len(shared)} of {len(table)}; they differ by up to {gap} between models. "
            "An empty cell: the model has no such path.",
            "zh": f"{len(paths)} 个模型共有的路径：{len(table)} 条中的 {len(shared)} 条，各模型之间最多相差 {gap}。空格表示该模型没有这条路径。",
        },
        next(iter(usable.values())).n_used,
        "standardised paths (std.all)",
        tuple(doubtful),
    )


@stage
def bollen_stine(fit: sem.Fit, data: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> Result:
    """Exact fit tested by the Bollen–Stine bootstrap, which does not need normal items (measure, value).

    See :func:`cxlib.sem.bollen_stine.bollen_stine`.  It resamples complete rows by maximum likelihood; for a fit of another
    kind the table is empty and says why.
    """
    from cxlib.sem.bollen_stine import bollen_stine as resample

    if fit.missing != "listwise" or fit.estimator == "WLSMV":
        return Result(
            pd.DataFrame(columns=["measure", "value"]),
            {
                "en": f"Not computed: it needs complete rows and maximum likelihood, and this fit is {fit.method}.",
                "zh": f'未计算：该检验需要完整的行和极大似然估计，而本次拟合采用 {fit.estimator}（missing = "{fit.missing}"）。',
            },
            fit.n_used,
            "Bollen–Stine bootstrap",
        )
    found = resample(data, fit, n_boot, rng)
    lost = int(np.isnan(found.chisq).sum())
    value = {
        "chisq": fit.chisq,
        "df": fit.df,
        "bollen_stine_p": found.p,
        "mean_chisq": np.nanmean(found.chisq),
        "draws": n_boot,
        "converged": n_boot - lost,
    }
    notes = [
        {
            "en": f"{lost} of {n_boot:,} samples had no optimum.",
            "zh": f"{n_boot:,} 次抽样中有 {lost} 次没有最优解。",
        }
    ]
    return Result(
        pd.DataFrame({"measure": list(value), "value": list(value.values())}),
        {
            "en": f"If the model were exactly true, χ² would average {value['mean_chisq']:.1f} with these items (df = {fit.df}) and "
            f"reach the observed {fit.chisq:.1f} in {found.p * 100:.1f}% of samples.",
            "zh": f"若模型完全成立，这些题项的 χ² 平均为 {value['mean_chisq']:.1f}（df = {fit.df}），{found.p * 100:.1f}% 的样本会达到"
            f"观测值 {fit.chisq:.1f}。",
        },
        fit.n_used,
        "Bollen–Stine bootstrap",
        (*fit.warnings, *notes[: bool(lost)]),
    )


@stage
def scores(fit: sem.Fit, data: pd.DataFrame) -> Result:
    """Regression scores of the latent variables: Φ Λ' Σ⁻¹ (x − x̄), one row a respondent (respondent, one column a construct).

    Respondents with a missing item have missing scores, and the warnings count them.  Of no other column of `data` than
    the respondent's id is anything returned.  Ordered answers have no such scores: the table is empty and says why.

    Notes
    -----
    Thurstone's regression method.  R: ``lavaan::lavPredict(fit, method = "regression")``.
    """
    latent = list(fit.model.latent)
    if fit.estimator == "WLSMV":
        return Result(
            pd.DataFrame(columns=["respondent", *latent]),
            {
                "en": "Not computed: with WLSMV the answers are ordered categories, to which these weights do not apply.",
                "zh": "未计算：WLSMV 把回答视为有序类别，这些权重不适用。",
            },
            0,
        )
    table = regression_scores(fit, data)
    lost = int(table.isna().any(axis=1).sum())
    n, notes = len(table) - lost, list(fit.warnings)
    table.insert(0, "respondent", data.get("respondent", data.index.to_series()))
    if lost:
        notes.append(
            {
                "en": f"{lost} respondents have a missing item and so no score.",
                "zh": f"{lost} 名受访者有缺失题项，因此没有得分。",
            }
        )
    return Result(
        table,
        _told(
            fit,
            {
                "en": f"Scores of {plural(len(latent), 'construct')} for {n:,} respondents: from all items, where each stands "
                "above or below the average (0), in units of the construct's first item; drawn towards 0, for items err.",
                "zh": f"{n:,} 名受访者在 {len(latent)} 个构念上的得分：依据全部题项估计其高于或低于平均（0）多少，以该构念第一题为单位；"
                "因题项有误差而向 0 收缩。",
            },
        ),
        n,
        "regression factor scores",
        tuple(notes),
    )


@stage
def plot_diagram(
    fit: sem.Fit,
    study: Study,
    *,
    full: bool = False,
    marks: Literal["stars", "interval"] = "stars",
    language: str = "en",
) -> Picture:
    """Path diagram with standardised coefficients and R²; options as in :func:`cxlib.diagram.drawing.plot_diagram`."""
    from dataclasses import replace

    from cxlib.diagram import drawing as diagram

    exact = (
        standardised_paths(fit)
        .rename(columns={"ci_low": "std_low", "ci_high": "std_high"})
        .assign(op="~")
    )
    table = fit.parameters.merge(
        exact[["lhs", "op", "rhs", "std_low", "std_high"]], how="left", on=["lhs", "op", "rhs"]
    )
    drawn = diagram.plot_diagram(
        table, study, r2(fit, study).table, n=fit.n_used, full=full, marks=marks, language=language
    )
    return replace(drawn, text=_told(fit, drawn.text))


def _beyond(codes: Iterable[str], study: Study) -> tuple[Text, ...]:
    """Why outcomes have no R² or f², if there are any."""
    en, zh = (", ".join(study.name(code, lang) for code in codes) for lang in ("en", "zh"))
    return (
        (
            {
                "en": f"Left empty for {en}: the residual variance is not positive, and an R² of 1 or beyond has no meaning.",
                "zh": f"{zh} 留空：残差方差不为正，而达到或超过 1 的 R² 没有意义。",
            },
        )
        if en
        else ()
    )


def _fitted(fits: Fits) -> dict[str, sem.Fit]:
    """The models that could be fitted."""
    return {name: fit for name, fit in fits.items() if isinstance(fit, sem.Fit)}


def _told(fit: sem.Fit, text: Text) -> Text:
    """The sentence, with a word before it if the solution cannot be trusted."""
    return relied(text, fit.trustworthy)


def _comparison(table: pd.DataFrame, first: str) -> Text:
    """Which rival fits better, by difference test and by BIC."""
    en, zh = [], []
    for row in table[table["d_p"].notna()].itertuples():
        worse, sure = row.d_df > 0, row.d_p < 0.05
        test = f"Δχ²({abs(row.d_df):.0f}) = {number(abs(row.d_chisq), 2)}, {p_text(row.d_p)}"
        simple, rich = (row.model, first) if worse else (first, row.model)
        en.append(
            f"'{rich}' fits {'better' if sure else 'no better'} than the simpler '{simple}' ({test})."
        )
        zh.append(f"“{rich}”的拟合{'优于' if sure else '并不优于'}更简的“{simple}”（{test}）。")
    sound = table[table["comparable"] & table["trustworthy"]]
    if len(sound) > 1 and sound["bic"].notna().all():
        best = sound.loc[sound["bic"].idxmin(), "model"]
        en.append(f"The lowest BIC among comparable, trustworthy models is that of '{best}'.")
        zh.append(f"在可比且可信的模型中，“{best}”的 BIC 最低。")
    if not en:
        return {
            "en": f"No other model can be compared with '{first}'.",
            "zh": f"没有可与“{first}”比较的其他模型。",
        }
    return {"en": " ".join(en), "zh": "".join(zh)}
