"""Stage 06: the structural model — its fit, paths, explained variance, rivals and scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core.absent import absent, reason, stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Picture, Result, Text, makes, relied, together
from cxlib.core.words import Sentence, _, joined, n_, number, p_text
from cxlib.sem.paths import predictors
from cxlib.statistics.structural import (
    effect_sizes,
    nested,
    regression_scores,
    standardised_paths,
)
from cxlib.study.names import named
from cxlib.study.schema import Study

PARAMETERS = "lhs op rhs est se z p ci_low ci_high std"
INDICES = ("npar", "chisq", "df", "pvalue", "cfi", "tli", "rmsea", "srmr", "aic", "bic")

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
            _(
                "The study '{study}' has no model '{model}'. Its models: {names}.",
                study=study.id,
                model=model,
                names=list(study.models),
            )
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


@makes("model_status", "model n converged proper trustworthy note")
def status(fits: Fits, language: str = "en") -> Result:
    """Whether each solution may be read at all (model, n, converged, proper, trustworthy, note in `language`).

    Verdicts on hypotheses of a model that is not trustworthy are withheld.
    """
    rows: list[dict[str, Any]] = []
    notes: list[Sentence] = []
    for name, fit in fits.items():
        if isinstance(fit, sem.Fit):
            said = joined(*fit.warnings)
            row: dict[str, Any] = {
                "n": fit.n_used,
                **{key: getattr(fit, key) for key in ("converged", "proper", "trustworthy")},
            }
        else:
            said = _("It cannot be fitted: {why}", why=reason(fit))
            row = {"n": 0, "converged": False, "proper": False, "trustworthy": False}
        rows.append({"model": name, **row, "note": said[language]})
        if said:
            notes.append(_("Model '{model}': {note}", model=name, note=said))
    table = pd.DataFrame(rows)
    bad = table.loc[~table["trustworthy"], "model"].tolist()
    good = len(table) - len(bad)
    if bad:
        text = n_(
            "{good} of {n:,} model can be trusted; verdicts on {names} are withheld.",
            "{good} of {n:,} models can be trusted; verdicts on {names} are withheld.",
            len(table),
            good=good,
            names=bad,
        )
    else:
        text = n_(
            "{good} of {n:,} model can be trusted.",
            "{good} of {n:,} models can be trusted.",
            len(table),
            good=good,
        )
    return Result(
        table,
        text,
        int(table["n"].iloc[0]),
        _("convergence, admissibility and empirical identification"),
        tuple(notes),
    )


@makes("sem_fit", "measure value")
@stage
def fit_table(fit: sem.Fit) -> Result:
    """Every fit measure of a fitted model, one a row (measure, value), under lavaan's names.

    Notes
    -----
    R: ``lavaan::fitMeasures(fit)``.
    """
    table = sem.fit_measures(fit)
    value = sem.reported(table)
    indices = ", ".join(
        f"{name.upper()} {number(value[name])}" for name in ("cfi", "tli", "rmsea", "srmr")
    )
    test = f"χ²({value['df']:.0f}) = {number(value['chisq'], 2)}, {p_text(value['pvalue'])}"
    text = (
        _(
            "{test}: the model is rejected as an exact description. {indices}.",
            test=test,
            indices=indices,
        )
        if value["pvalue"] < 0.05
        else _(
            "{test}: the model is not rejected as an exact description. {indices}.",
            test=test,
            indices=indices,
        )
    )
    return _of_fit(fit, table, text, fit.method)


@makes("sem_parameters", PARAMETERS, more="group")
@makes("sem_parameters_*", PARAMETERS, more="group")
@stage
def parameters(fit: sem.Fit, study: Study) -> Result:
    """Estimates of every parameter: unstandardised with standard error and 95% interval, std.all beside.

    Notes
    -----
    R: ``lavaan::parameterEstimates(fit)``, ``lavaan::standardizedSolution(fit)$est.std``.
    """
    table = fit.parameters[[c for c in fit.parameters if c in (*PARAMETERS.split(), "group")]]
    bare = int(table["se"].isna().sum())
    fixed = int(((fit.model.table["free"] == 0) | (fit.model.table["exo"] == 1)).sum())
    values = {"bare": bare, "every": len(table), "fixed": fixed, "rest": bare - fixed}
    if bare <= fixed:
        untested = _(
            "{bare} of {every} parameters have no standard error: {fixed} fixed or taken from the data.",
            **values,
        )
    elif fit.estimator == "WLSMV":
        untested = _(
            "{bare} of {every} parameters have no standard error: {fixed} fixed or taken from the data, {rest} follow from the others.",
            **values,
        )
    else:
        untested = _(
            "{bare} of {every} parameters have no standard error: {fixed} fixed or taken from the data, {rest} undetermined.",
            **values,
        )
    text = joined(_strongest(table, study), untested, fit.clustering)
    return _of_fit(fit, table.reset_index(drop=True), text, fit.method)


def other_parameters(fits: Fits, study: Study) -> dict[str, Result]:
    """The parameters of every fitted model but the main one, by its name."""
    return {name: parameters(fit, study) for name, fit in _fitted(fits).items() if name != "main"}


@makes("r2", "construct r2")
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
    explained = [
        _("{name} {share}", name=named(study, row.construct), share=f"{row.r2 * 100:.0f}%")
        for row in table.dropna().itertuples()
    ]
    beyond = _beyond(table.loc[table["r2"].isna(), "construct"], study)
    return _of_fit(
        fit,
        table,
        joined(
            _("Variance explained: {shares}.", shares=explained)
            if explained
            else _("Variance explained: none."),
            *beyond,
        ),
        _("1 − residual variance / implied variance"),
        *beyond,
    )


@makes("f2", "outcome predictor r2 r2_without f2")
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
    said = [
        _(
            "{predictor} → {outcome} {f2}",
            predictor=named(study, row["predictor"]),
            outcome=named(study, row["outcome"]),
            f2=number(row["f2"], 2),
        )
        for row in large.to_dict("records")
    ]
    return _of_fit(
        fit,
        table,
        _("Paths of at least medium size (f² ≥ .15): {paths}.", paths=said)
        if said
        else _("Paths of at least medium size (f² ≥ .15): none."),
        _("Cohen's f² from the implied covariances"),
        *_beyond(table.loc[table["f2"].isna(), "outcome"].unique(), study),
    )


@makes(
    "model_comparison",
    "model n npar chisq df pvalue cfi tli rmsea srmr aic bic comparable d_chisq d_df d_p nested converged proper trustworthy",
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
    notes: list[Sentence] = []
    for name, fit in fits.items():
        if not isinstance(fit, sem.Fit):
            notes.append(
                _("Model '{model}' could not be fitted: {why}", model=name, why=reason(fit))
            )
            continue
        if not fit.trustworthy:
            notes.append(
                _("Model '{model}' cannot be trusted, so its row proves nothing.", model=name)
            )
        if not _comparable(fit, base):
            notes.append(
                _(
                    "Model '{model}' uses other items or rows than '{first}': their χ², AIC, BIC do not compare.",
                    model=name,
                    first=first,
                )
            )
    table = pd.DataFrame([{"model": name, **_compared(fit, base)} for name, fit in usable.items()])
    notes.append(
        _(
            "No difference test for {names}: the others are tested against '{first}' if nested, of the same rows. Imputed data give no such test; neither they nor WLSMV have AIC and BIC.",
            names=list(table.loc[table["d_p"].isna(), "model"]),
            first=first,
        )
    )
    return Result(
        table,
        _comparison(table, first),
        base.n_used,
        _("χ² difference ({method}), AIC, BIC", method=base.method),
        tuple(notes),
    )


@makes("models_side_by_side", "lhs rhs", open=True)
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
    gap = number((shared.max(axis=1) - shared.min(axis=1)).max(), 2)
    doubtful = [
        _("Model '{model}' cannot be trusted.", model=name)
        for name, fit in usable.items()
        if not fit.trustworthy
    ]
    text = (
        n_(
            "One model was fitted: its {n:,} path, with no other model to stand beside.",
            "One model was fitted: its {n:,} paths, with no other model to stand beside.",
            len(table),
        )
        if len(paths) == 1
        else _(
            "Paths in all {models} models: {shared} of {every}; they differ by up to {gap} between models. An empty cell: the model has no such path.",
            models=len(paths),
            shared=len(shared),
            every=len(table),
            gap=gap,
        )
    )
    return Result(
        table,
        text,
        next(iter(usable.values())).n_used,
        _("standardised paths (std.all)"),
        tuple(doubtful),
    )


@makes("bollen_stine", "measure value")
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
            _(
                "Not computed: it needs complete rows and maximum likelihood, and this fit is {estimator} (missing = '{missing}').",
                estimator=fit.estimator,
                missing=fit.missing,
            ),
            fit.n_used,
            _("Bollen–Stine bootstrap"),
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
    text = _(
        "If the model were exactly true, χ² would average {mean:.1f} with these items (df = {df}) and reach the observed {chisq:.1f} in {share:.1f}% of samples.",
        mean=value["mean_chisq"],
        df=fit.df,
        chisq=fit.chisq,
        share=found.p * 100,
    )
    failed = _("{lost} of {draws:,} samples had no optimum.", lost=lost, draws=n_boot)
    return Result(
        pd.DataFrame({"measure": list(value), "value": list(value.values())}),
        text,
        fit.n_used,
        _("Bollen–Stine bootstrap"),
        together(fit.warnings, failed if lost else None),
    )


@makes("latent_scores", "respondent", open=True)
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
            _(
                "Not computed: with WLSMV the answers are ordered categories, to which these weights do not apply."
            ),
            0,
        )
    table = regression_scores(fit, data)
    lost = int(table.isna().any(axis=1).sum())
    n = len(table) - lost
    table.insert(0, "respondent", data.get("respondent", data.index.to_series()))
    unscored = _("{n} respondents have a missing item and so no score.", n=lost)
    text = n_(
        "Scores of {n:,} construct for {respondents:,} respondents: from all items, where each stands above or below the average (0), in units of the construct's first item; drawn towards 0, for items err.",
        "Scores of {n:,} constructs for {respondents:,} respondents: from all items, where each stands above or below the average (0), in units of the construct's first item; drawn towards 0, for items err.",
        len(latent),
        respondents=n,
    )
    return Result(
        table,
        relied(text, fit.trustworthy),
        n,
        _("regression factor scores"),
        together(fit.warnings, unscored if lost else None),
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
    return replace(drawn, text=relied(drawn.text, fit.trustworthy))


def _of_fit(
    fit: sem.Fit, table: pd.DataFrame, text: Text, method: Text | str, *notes: Text
) -> Result:
    """A result that says above its numbers what is wrong with the fit."""
    return Result(
        table, relied(text, fit.trustworthy), fit.n_used, method, together(fit.warnings, *notes)
    )


def _strongest(table: pd.DataFrame, study: Study) -> Sentence:
    """How many paths differ from zero, and which is the strongest."""
    paths = table[table["op"] == "~"].dropna(subset=["p", "std"])
    if paths.empty:
        return _("The model has no path with a test.")
    top = paths.iloc[int(paths["std"].abs().to_numpy().argmax())]
    return n_(
        "{sure} of {n:,} path differ from zero (p < .05); the strongest is {path}, {std} standardised.",
        "{sure} of {n:,} paths differ from zero (p < .05); the strongest is {path}, {std} standardised.",
        len(paths),
        sure=int((paths["p"] < 0.05).sum()),
        path=joined(named(study, top["rhs"]), named(study, top["lhs"]), between=" → "),
        std=number(top["std"], 2),
    )


def _beyond(codes: Iterable[str], study: Study) -> tuple[Sentence, ...]:
    """Why outcomes have no R² or f², if there are any."""
    if not (names := [named(study, code) for code in codes]):
        return ()
    return (
        _(
            "Left empty for {names}: the residual variance is not positive, and an R² of 1 or beyond has no meaning.",
            names=names,
        ),
    )


def _fitted(fits: Fits) -> dict[str, sem.Fit]:
    """The models that could be fitted."""
    return {name: fit for name, fit in fits.items() if isinstance(fit, sem.Fit)}


def _comparable(fit: sem.Fit, base: sem.Fit) -> bool:
    """Whether two models are of the same items and rows."""
    return fit.n_used == base.n_used and set(fit.model.observed) == set(base.model.observed)


def _compared(fit: sem.Fit, base: sem.Fit) -> dict[str, Any]:
    """A row of the comparison: fit, and the difference from the first model where the two are nested."""
    value, comparable = sem.reported(sem.fit_measures(fit)), _comparable(fit, base)
    inside = comparable and (nested(fit.model, base.model) or nested(base.model, fit.model))
    change = {"d_chisq": np.nan, "d_df": np.nan, "d_p": np.nan}
    tested = inside and fit.converged and base.converged and fit.missing != "mi"
    if tested and fit.df != base.df:
        sign = 1 if fit.df > base.df else -1
        test = sem.difference(*(fit, base)[::sign]).iloc[0]
        change = {
            "d_chisq": sign * test["d_chisq"],
            "d_df": sign * test["d_df"],
            "d_p": test["d_p"],
        }
    return {
        "n": fit.n_used,
        **{key: value.get(key, np.nan) for key in INDICES},
        "comparable": comparable,
        **change,
        "nested": inside,
        "converged": fit.converged,
        "proper": fit.proper,
        "trustworthy": fit.trustworthy,
    }


def _comparison(table: pd.DataFrame, first: str) -> Sentence:
    """Which rival fits better, by difference test and by BIC."""
    said: list[Sentence] = []
    for row in table[table["d_p"].notna()].to_dict("records"):
        simple, rich = (row["model"], first) if row["d_df"] > 0 else (first, row["model"])
        change = number(abs(row["d_chisq"]), 2)
        test = f"Δχ²({abs(row['d_df']):.0f}) = {change}, {p_text(row['d_p'])}"
        said.append(
            _(
                "'{rich}' fits better than the simpler '{simple}' ({test}).",
                rich=rich,
                simple=simple,
                test=test,
            )
            if row["d_p"] < 0.05
            else _(
                "'{rich}' fits no better than the simpler '{simple}' ({test}).",
                rich=rich,
                simple=simple,
                test=test,
            )
        )
    sound = table[table["comparable"] & table["trustworthy"]]
    if len(sound) > 1 and sound["bic"].notna().all():
        said.append(
            _(
                "The lowest BIC among comparable, trustworthy models is that of '{best}'.",
                best=sound["model"].iloc[int(sound["bic"].to_numpy().argmin())],
            )
        )
    if not said:
        return _("No other model can be compared with '{first}'.", first=first)
    return joined(*said)
