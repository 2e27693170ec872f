"""Measurement invariance: the same model in several groups, with more and more of it equal.

A level is a set of kinds of parameters that are equal across groups; each level contains the one before it
(Meredith 1993, doi:10.1007/BF02294825; of second-order models Chen, Sousa & West 2005,
doi:10.1207/s15328007sem1203_7).  Equal parameters share a number in the parameter table, so every level is
an ordinary several-group fit.  Of ordinal items thresholds come first (Wu & Estabrook 2016,
doi:10.1007/s11336-016-9506-0): where they are equal the responses of the other groups have intercepts and variances.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial as partial_of
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from cxlib.core.errors import ArgumentError
from cxlib.core.words import _
from cxlib.sem.estimate import fit as fit_model
from cxlib.sem.measures import fit_measures
from cxlib.sem.model import COLUMNS, Model, ModelError, number, parse, replicate
from cxlib.sem.modification import score_test
from cxlib.sem.nested import difference
from cxlib.sem.result import Estimator, Fit, Missing, tested

Place = tuple[str, str, str, int]
"""A parameter of one group: lhs, op, rhs, group (0, 1, …)."""
FIRST = {"metric": "loadings", "scalar": "intercepts", "strict": "residuals"}
SECOND = {
    "metric": "loadings",
    "metric_second": "second loadings",
    "scalar": "intercepts",
    "scalar_second": "second intercepts",
    "strict_second": "disturbances",
    "strict": "residuals",
}
"""What each level makes equal, of models without and with second-order constructs."""
LEAST = 2
"""Indicators of a construct that stay equal however many are freed: with fewer its unit and origin have no anchor."""
APPROXIMATE = {"d_cfi": -0.010, "d_rmsea": 0.015}
"""A level holds if CFI falls and RMSEA grows by no more (Chen 2007, doi:10.1080/10705510701301834)."""
MEASURES = ("chisq", "df", "pvalue", "cfi", "tli", "rmsea", "srmr", "aic", "bic")


def levels(model: Model, ordinal: bool = False) -> dict[str, tuple[str, ...]]:
    """Level → kinds of parameters that are equal in it, from configural to strict."""
    steps = {"thresholds": "thresholds"} if ordinal else {}
    steps |= SECOND if "second loadings" in set(kinds(model)) else FIRST
    made = list(steps.values())
    return {"configural": (), **{level: tuple(made[: at + 1]) for at, level in enumerate(steps)}}


def kinds(model: Model) -> list[str]:
    """The kind of every row of the model's table, "" for those that no level makes equal."""
    lower = set(model.table.loc[model.table["op"] == "=~", "rhs"])
    out = []
    for row in model.table.itertuples():
        second = "second " if (row.rhs or row.lhs) in model.latent else ""
        if row.op == "=~":
            out.append(second + "loadings")
        elif row.op == "~1" and (row.matrix == "nu" or row.lhs in lower):
            out.append(second + "intercepts")
        elif row.op == "~~" and row.lhs == row.rhs and row.lhs in lower:
            out.append("disturbances" if second else "residuals")
        else:
            out.append("")
    return out


def constrain(
    model: Model,
    n_groups: int,
    equal: Collection[str],
    freed: Collection[Place] = (),
    paths: Collection[tuple[str, str]] = (),
) -> Model:
    """The model in several groups with some kinds of parameters equal, except in the freed places.

    Where intercepts are equal, latent means are free in all groups but the first, in which they are 0.  Where
    thresholds are, intercepts of the items are 0 in the first group; equal, they are 0 in all.

    Parameters
    ----------
    model : Model
        Of one group, with means; for WLSMV without.
    equal : collection of str
        Kinds, as :func:`levels` names them.
    freed : collection of Place
        Parameters of one group that are not equal to those of the others; a marker's loading too.
    paths : collection of (outcome, predictor)
        Regressions that are equal as well.

    Notes
    -----
    R: ``sem(model, data, group = "g", group.equal = c("loadings", "intercepts"), group.partial = "x2 ~ 1")``.
    """
    whole = replicate(_with_means(model, equal), n_groups)
    table, kind = whole.table.copy(), kinds(whole)
    for at, row in enumerate(whole.table.itertuples()):
        place = (row.lhs, row.op, row.rhs, row.group)
        if place in freed:
            table.loc[at, ["value", "label"]] = np.nan, ""
        elif row.op == "~1" and row.lhs in model.latent and np.isnan(row.value):
            lower = kind[at] == "second intercepts"
            if row.group == 0 or (lower and "second intercepts" in equal):
                table.loc[at, "value"] = 0.0
        elif (
            "thresholds" in equal
            and kind[at] == "intercepts"
            and (row.group == 0 or "intercepts" in equal)
        ):
            table.loc[at, "value"] = 0.0
        elif (
            np.isnan(row.value)
            and not row.label
            and (kind[at] in equal or (row.op == "~" and (row.lhs, row.rhs) in paths))
        ):
            table.loc[at, "label"] = f"{row.lhs}{row.op}{row.rhs}"
    return Model(whole.observed, whole.latent, whole.state, number(table), whole.syntax)


def fit_level(
    data: pd.DataFrame,
    model: Model,
    group: str,
    equal: Collection[str] = (),
    freed: Collection[Place] = (),
    paths: Collection[tuple[str, str]] = (),
    *,
    estimator: Estimator = "ML",
    missing: Missing = "listwise",
    cluster: str | None = None,
    start: Fit | None = None,
) -> Fit:
    """Fit a model with the given parameters equal across the groups; `start` is a fit of another level.

    Of ordinal items (WLSMV) thresholds are equal if anything is: without them nothing else has a common unit.

    Raises
    ------
    ModelError, DataError
        As :func:`cxlib.sem.estimate.fit`.
    """
    if estimator == "WLSMV":
        model = Model(
            model.observed,
            model.latent,
            model.state,
            number(model.table[model.table["op"] != "~1"]),
            model.syntax,
        )
        equal = ("thresholds", *equal) if equal else ()
    several = constrain(model, data[group].nunique(), equal, freed, paths)
    return fit_model(
        data,
        several,
        group=group,
        estimator=estimator,
        missing=missing,
        cluster=cluster,
        start=None
        if start is None
        else carried(start.model.values(start.theta), start.model, several),
    )


def ladder(
    data: pd.DataFrame,
    model: str | Model,
    group: str,
    *,
    estimator: Literal["ML", "MLR", "WLSMV"] = "ML",
    missing: Literal["listwise", "fiml", "pairwise"] = "listwise",
    cluster: str | None = None,
) -> dict[str, Fit]:
    """Fit every level of invariance, from configural to strict.

    Parameters
    ----------
    data : DataFrame
        One row a respondent.
    model : str or Model
        Measurement model of one group.
    group : str
        Column of the groups; the first in sorted order is the one whose latent means are 0.

    Returns
    -------
    dict
        Level → fit.

    Notes
    -----
    R: ``cfa(model, data, group = "g", group.equal = c("loadings", "intercepts", "residuals"))``; of ordinal items
    ``semTools::measEq.syntax(ID.cat = "Wu.Estabrook.2016", group.equal = c("thresholds", "loadings", …))``.
    """
    model = parse(model, means=True) if isinstance(model, str) else model
    out: dict[str, Fit] = {}
    for level, equal in levels(model, estimator == "WLSMV").items():
        before = list(out.values())[-1] if out else None
        out[level] = fit_level(
            data,
            model,
            group,
            equal,
            estimator=estimator,
            missing=missing,
            cluster=cluster,
            start=before,
        )
    return out


def compare(
    fits: Mapping[str, Fit],
    method: Literal["satorra.bentler.2001", "satorra.2000"] = "satorra.bentler.2001",
) -> pd.DataFrame:
    """Fit of every level, and what each changes against the one before it.

    Returns
    -------
    DataFrame
        level, chisq … bic, d_chisq, d_df, d_p, d_cfi, d_rmsea, d_srmr, n, npar; of a robust estimator d_chisq is the
        scaled difference, d_cfi and d_rmsea those of the robust measures, and chisq_scaled and these measures stand at the
        end; of WLSMV chisq, pvalue, cfi, tli and rmsea are the scaled ones.  NaN: aic and bic of WLSMV, which has no likelihood; the difference of two
        levels that are one model, as thresholds and configural are if no item has four categories.

    Notes
    -----
    R: ``lavaan::fitMeasures(fit)``, ``lavaan::lavTestLRT(configural, metric, scalar, strict, method = method)``.
    """
    rows: list[dict] = []
    for level, fit in fits.items():
        value = dict(fit_measures(fit).to_numpy())
        if fit.estimator == "WLSMV":  # the others mean nothing by themselves
            value = {
                name: value.get(f"{name}_scaled", value.get(name)) for name in (*MEASURES, "npar")
            }
        extra = [name for name in ("chisq_scaled", "cfi_robust", "rmsea_robust") if name in value]
        row = {
            "level": level,
            **{name: value[name] for name in MEASURES},
            **dict.fromkeys(("d_chisq", "d_df", "d_p", "d_cfi", "d_rmsea", "d_srmr"), np.nan),
            "n": fit.n_used,
            "npar": value["npar"],
            **{name: value[name] for name in extra},
        }
        if rows:
            last = list(fits.values())[len(rows) - 1]
            test = difference(fit, last, method).iloc[0] if fit.df > last.df else {}
            row |= {name: test.get(name, np.nan) for name in ("d_chisq", "d_df", "d_p")}
            for name in ("cfi", "rmsea", "srmr"):
                used = f"{name}_robust" if f"{name}_robust" in row else name
                row[f"d_{name}"] = row[used] - rows[-1][used]
        rows.append(row)
    return pd.DataFrame(rows)


def score_tests(fit: Fit, tested: Collection[str] = ("loadings", "intercepts")) -> pd.DataFrame:
    """What χ² would lose, about, if one equality between groups were given up.

    Every row frees one parameter in one group (with two groups in the second: to free it in either is the same);
    a marker, whose loading is 1 in every group, is tested like the others.

    Returns
    -------
    DataFrame
        lhs, op, rhs, group (its number), kind, mi (χ² with 1 df), p, epc: the expected difference, this group's value
        less that of the others; the largest mi first.

    Notes
    -----
    As :func:`cxlib.sem.modification.modification_indices`, with the restriction in place of a fixed parameter.
    R: ``lavaan::lavTestScore(fit, epc = TRUE)$uni`` (a marker: with ``std.lv = TRUE``).
    """
    from scipy.special import chdtrc

    model, table = fit.model, fit.model.table
    kind = np.array(kinds(model))
    shared = table.loc[table["free"] > 0].groupby("free")["group"].nunique()
    equal = table["free"].isin(shared.index[shared > 1]).to_numpy()
    fixed = (
        (table["free"] == 0).to_numpy()
        & (table["op"] == "=~").to_numpy()
        & (table["value"] != 0).to_numpy()
    )
    tried = np.flatnonzero(
        np.isin(kind, list(tested))
        & (equal | fixed)
        & ((table["group"] > 0) | (model.n_groups > 2))
    )
    single = table.copy()
    loose = (table["free"] > 0).to_numpy(copy=True)
    loose[tried] = True
    single["free"] = np.where(loose, np.cumsum(loose), 0)
    own = Model(model.observed, model.latent, model.state, single, model.syntax)
    theta, function = model.values(fit.theta)[loose], fit.discrepancy(own)
    old, to_old = table["free"].to_numpy(int)[loose], np.zeros((loose.sum(), model.npar))
    to_old[old > 0, old[old > 0] - 1] = 1
    mi, epc, told = score_test(function, theta, single["free"].to_numpy(int)[tried] - 1, to_old)
    out = table.iloc[tried][["lhs", "op", "rhs", "group"]].assign(
        kind=kind[tried], mi=mi, p=chdtrc(1, np.maximum(mi, 0)), epc=epc
    )
    return out[told].sort_values("mi", ascending=False, kind="stable", ignore_index=True)


def holds(
    change: Mapping[str, float],
    criterion: Literal["approximate", "chisq"] = "approximate",
    alpha: float = 0.05,
) -> bool:
    """Whether a level holds, judged by a row of :func:`compare`; configural by its own fit, CFI ≥ .90 and SRMR ≤ .08."""
    if np.isnan(change["d_cfi"]):
        return bool(change.get("cfi_robust", change["cfi"]) >= 0.90 and change["srmr"] <= 0.08)
    if criterion == "chisq":
        return bool(np.isnan(change["d_p"]) or change["d_p"] >= alpha)
    if criterion != "approximate":
        raise ArgumentError(
            _(
                "criterion='{criterion}' is not known. Use 'approximate' (ΔCFI and ΔRMSEA) or 'chisq'.",
                criterion=criterion,
            )
        )
    return bool(
        change["d_cfi"] >= APPROXIMATE["d_cfi"] and change["d_rmsea"] <= APPROXIMATE["d_rmsea"]
    )


def partial(
    data: pd.DataFrame,
    model: str | Model,
    group: str,
    *,
    criterion: Literal["approximate", "chisq"] = "approximate",
    alpha: float = 0.05,
    estimator: Literal["ML", "MLR", "WLSMV"] = "ML",
    missing: Literal["listwise", "fiml", "pairwise"] = "listwise",
    cluster: str | None = None,
    known: Mapping[str, Fit] = MappingProxyType({}),
) -> tuple[dict[str, Fit], set[Place], pd.DataFrame]:
    """Go up the ladder and, where a level does not hold, free one equality after the other.

    Freed is what has the largest score test, as long as it is significant after Bonferroni's correction for all
    equalities of the level, and each construct keeps two indicators that are equal in all groups.  The search ends
    when the level holds by `criterion` (then the ladder goes on), or when nothing more may be freed (then it ends).
    The intercept of an item whose loading differs is free as well: it has no common meaning.  `known` are fits that
    :func:`ladder` has made already.  With WLSMV, of which score tests are not χ² (no correction is known), nothing is
    freed.

    Returns
    -------
    fits : dict
        Level → the last fit of it, up to where the ladder ended.
    freed : set of Place
    steps : DataFrame
        level, step, lhs, op, rhs, group, mi, p_adjusted, epc (of what this step freed; empty in step 0, the full
        level), then the columns of :func:`compare` and outcome: "holds", "freed next", or why the search ended.
    """
    model = parse(model, means=True) if isinstance(model, str) else model
    steps: list[dict] = []
    freed: set[Place] = set()
    fits: dict[str, Fit] = {}
    fitted = partial_of(
        fit_level, data, model, group, estimator=estimator, missing=missing, cluster=cluster
    )
    for level, equal in levels(model, estimator == "WLSMV").items():
        before, step = list(fits.values())[-1] if fits else None, 0
        top: dict[str, Any] = {}
        freed |= {
            (item, "~1", "", place)
            for _lhs, op, item, place in freed
            if op == "=~" and "intercepts" in equal
        }
        while True:
            fits[level] = (
                known[level] if level in known and not freed else fitted(equal, freed, start=before)
            )
            change = _change(before, level, fits[level])
            held = holds(change, criterion, alpha)
            outcome, top_next = (
                ("holds" if held else "does not hold", {})
                if held or not before
                else _next(fits[level], equal, freed, alpha)
            )
            steps.append({"level": level, "step": step, **top, **change, "outcome": outcome})
            if outcome != "freed next":
                break
            top, step = top_next, step + 1
            freed |= {(top["lhs"], top["op"], top["rhs"], top["group"])}
        if outcome != "holds":
            break
    first = ["level", "step", "lhs", "op", "rhs", "group", "mi", "p_adjusted", "epc"]
    columns = dict.fromkeys([*first, *(name for row in steps for name in row)])
    return fits, freed, pd.DataFrame(steps).reindex(columns=[*columns])


def _change(before: Fit | None, level: str, fit: Fit) -> dict[str, float]:
    """What a level changes against the one before it, as in :func:`compare`."""
    fits = {"before": before, level: fit} if before else {level: fit}
    row = compare(fits).iloc[-1].to_dict()
    return {name: row[name] for name in row if name != "level"}


def _next(
    fit: Fit, equal: Sequence[str], freed: Collection[Place], alpha: float
) -> tuple[str, dict]:
    """What to free next at a level that does not hold, or why there is nothing."""
    if fit.estimator == "WLSMV":
        return "not searched", {}
    found = score_tests(fit, equal[-1:])
    found["p_adjusted"] = np.minimum(found["p"] * len(found), 1)
    found = found[[_anchored(fit.model, freed, row) for row in found.itertuples()]]
    if found.empty:
        return "no anchors left", {}
    if found["p_adjusted"].iloc[0] >= alpha:
        return "no significant score test", {}
    told = ["lhs", "op", "rhs", "group", "kind", "mi", "p_adjusted", "epc"]
    return "freed next", found.iloc[0][told].to_dict()


def latent_means(fit: Fit) -> pd.DataFrame:
    """Differences of latent means from those of the first group, and as effect sizes.

    Parameters
    ----------
    fit : Fit
        With equal intercepts (in part at least), such as the scalar level.

    Returns
    -------
    DataFrame
        construct, group (its number), est, se, z, p, ci_low, ci_high; d: the difference over the root of the pooled
        variance of the construct, with d_se, d_low, d_high.

    Raises
    ------
    ModelError
        If the fit has no free latent means.

    Notes
    -----
    d: Hancock (2001), doi:10.1007/BF02294440, variances weighted by n; intervals by the delta method.
    R: labels on ``c(m1, m2)*1`` and ``c(v1, v2)``, then ``d := (m2 - m1)/sqrt((n1*v1 + n2*v2)/(n1 + n2))``.
    """
    model, function = fit.model, fit.discrepancy()
    own = model.table[
        (model.table["matrix"] == "alpha")
        & (model.table["free"] > 0)
        & model.table["lhs"].isin(model.latent)
    ]
    moved = [name for name in model.latent if name in set(own["lhs"])]
    if not moved:
        raise ModelError(
            _(
                "This fit has no free latent means: they can be compared only where intercepts are equal across groups. Give "
                "the scalar level, whole or partial."
            )
        )
    at, others = [model.latent.index(name) for name in moved], range(1, model.n_groups)

    def statistic(theta: np.ndarray) -> np.ndarray:
        points = [function.point(theta, g) for g in range(model.n_groups)]
        pooled = sum(
            w * np.diag(point.phi)[at] for w, point in zip(function.weight, points, strict=True)
        )
        raw = np.array([points[g].eta[at] - points[0].eta[at] for g in others])
        return np.concatenate([raw.ravel(), (raw / np.sqrt(pooled)).ravel()])

    est = statistic(fit.theta)
    slope = (
        np.array([statistic(fit.theta + row).imag for row in 1e-30j * np.eye(model.npar)]) / 1e-30
    )
    se = np.sqrt(np.einsum("ki,kl,li->i", slope, fit.vcov, slope))
    raw, size = (
        tested(pd.DataFrame({"est": e, "se": s}))
        for e, s in zip(np.split(est, 2), np.split(se, 2), strict=True)
    )
    raw.insert(0, "construct", moved * len(others))
    raw.insert(1, "group", np.repeat(others, len(moved)))
    return raw.assign(d=size["est"], d_se=size["se"], d_low=size["ci_low"], d_high=size["ci_high"])


def _with_means(model: Model, equal: Collection[str]) -> Model:
    """The model with a row for every latent mean, where intercepts are equal, and every intercept, where thresholds are."""
    if not model.means and equal and "thresholds" not in equal:
        raise ModelError(
            _("Invariance is about means too. Parse the model with parse(syntax, means=True).")
        )
    table = model.table
    have, loads = set(table.loc[table["op"] == "~1", "lhs"]), table[table["op"] == "=~"]
    measured = set(loads.loc[loads["rhs"].isin(model.observed), "lhs"])
    free = [
        name
        for name in model.latent
        if "intercepts" in equal
        and name not in have
        and (name in measured or "second intercepts" in equal)
    ]
    free += model.observed if "thresholds" in equal else ()
    rows = [
        {
            "lhs": name,
            "op": "~1",
            "rhs": "",
            "group": 0,
            "label": "",
            "free": 0,
            "value": np.nan,
            "matrix": "alpha" if name in model.state else "nu",
            "row": (model.state if name in model.state else model.observed).index(name),
            "col": 0,
            "exo": 0,
        }
        for name in free
    ]
    table = (
        pd.concat([table, pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True)
        if rows
        else table
    )
    return Model(model.observed, model.latent, model.state, table, model.syntax)


def carried(values: np.ndarray, old: Model, new: Model) -> np.ndarray:
    """Free numbers of `new` from values of every row of ``old.table``: the mean of those that became one, 0 if absent."""
    names = [["lhs", "op", "rhs", "group"]] * 2
    known = dict(zip(old.table[names[0]].itertuples(index=False, name=None), values, strict=True))
    free = new.table["free"].to_numpy(int)
    mine = np.array(
        [known.get(place, 0.0) for place in new.table[names[1]].itertuples(index=False, name=None)]
    )
    return np.bincount(free, mine)[1:] / np.bincount(free)[1:]


def _anchored(model: Model, freed: Collection[Place], row: Any) -> bool:
    """Whether the construct keeps enough equal indicators if this one is freed."""
    loads = model.table[model.table["op"] == "=~"]
    if row.kind in ("residuals", "disturbances"):
        return True
    name = row.rhs or row.lhs
    owners = loads.loc[loads["rhs"] == name, "lhs"]
    gone = {(rhs or lhs) for lhs, op, rhs, _ in freed if op == row.op} | {name}
    return all(
        len(set(loads.loc[loads["lhs"] == owner, "rhs"]) - gone) >= LEAST for owner in owners
    )
