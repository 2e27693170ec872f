"""Stage 08, the paths: is it the same story in every group?

The structural model is fitted to all groups at once, with the loadings equal that the ladder of invariance left equal:
only then have the paths one unit.  A difference between groups is tested for itself; that a path is significant in one
group and not in another is no test of it (Gelman & Stern 2006, doi:10.1198/000313006X152649).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import reason
from cxlib.core.result import Result, Text, makes, nothing, together
from cxlib.core.syntax import path, steps
from cxlib.core.words import Sentence, _, clauses, joined, n_, p_text
from cxlib.diagram import forests
from cxlib.sem import invariance, paths
from cxlib.stages.groups import groups
from cxlib.stages.groups.groups import Comparison, Ladder, numbered
from cxlib.statistics import group_effects
from cxlib.statistics.multiple_testing import holm
from cxlib.study.levels import level_name
from cxlib.study.names import named, named_effect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem import Fit
    from cxlib.study.schema import Hypothesis, Study

PATHS = ["grouping", "effect", "kind", "group", "est", "se", "ci_low", "ci_high", "p", "std", "n"]
DIFFERENCES = [
    "grouping",
    "effect",
    "kind",
    "group_a",
    "group_b",
    "est",
    "se",
    "ci_low",
    "ci_high",
    "wald",
    "df",
    "p",
    "p_adjusted",
    "lr_chisq",
    "lr_p",
    "boot_low",
    "boot_high",
    "boot_p",
    "draws",
    "n",
]
TESTS = ["id", "est", "ci_low", "ci_high", "p", "n", "std", "test", "notebook", "note"]


@dataclass(frozen=True)
class Structures:
    """The structural model in every group, loadings equal: either its fit, or `why_not`."""

    ladder: Ladder
    fit: Fit | None = field(default=None, repr=False)
    effects: tuple[paths.Effect, ...] = ()
    why_not: Text | None = None


def structures(ladder: Ladder) -> Structures:
    """Fit the structural model in all groups at once, loadings equal except those the search freed; estimator as the ladder's."""
    compared, study = ladder.compared, ladder.compared.study
    why_not = ladder.why_not
    if why_not is None and "metric" not in ladder.final:
        why_not = _("The groups do not share one measurement model, so their paths do not compare.")
    if why_not is not None:
        return Structures(ladder, why_not=why_not)
    model = sem.parse(study.syntax(compared.model), means=True)
    equal = (
        ("loadings", "second loadings")
        if "metric_second" in invariance.levels(model)
        else ("loadings",)
    )
    freed, used = (
        {place for place in ladder.freed if place[1] == "=~"},
        next(iter(ladder.fits.values())),
    )
    try:
        fit = invariance.fit_level(
            numbered(compared),
            model,
            groups.GROUP,
            equal,
            freed,
            estimator=used.estimator,
            missing=used.missing,
            cluster=study.cluster or None,
        )
    except (sem.ModelError, sem.DataError, np.linalg.LinAlgError) as error:
        why_not = _(
            "The structural model cannot be fitted in every group: {error}", error=reason(error)
        )
        return Structures(ladder, why_not=why_not)
    return Structures(ladder, fit, _effects(fit.model, study, compared.model))


@makes("group_paths", " ".join(PATHS))
def group_paths(found: Structures) -> Result:
    """Every path and indirect effect in every group (delta-method intervals), loadings equal.

    Notes
    -----
    R: ``sem(model, data, group = "g", group.equal = "loadings")``, indirect effects defined with ``:=``.
    """
    compared = found.ladder.compared
    if found.fit is None:
        assert found.why_not is not None
        return nothing(PATHS, found.why_not)
    fit, names = found.fit, compared.large
    table = group_effects.in_groups(fit, found.effects)
    table = table.assign(grouping=compared.column, group=[names[g] for g in table["group"]])
    direct = table[table["kind"] == "direct"]
    sure = direct.loc[direct["p"] < 0.05, "group"].value_counts()
    counts = [joined(compared.name(level), str(sure.get(level, 0)), between=" ") for level in names]
    return Result(
        table[PATHS],
        n_(
            "Of {n:,} path, clear of zero (p < .05): {counts}.",
            "Of {n:,} paths, clear of zero (p < .05): {counts}.",
            len(direct) // len(names),
            counts=counts,
        ),
        fit.n_used,
        _("{method}; loadings equal", method=fit.method),
        together(_doubt(found), *fit.warnings),
    )


@makes("group_differences", " ".join(DIFFERENCES))
def group_differences(
    found: Structures, n_boot: int = 0, rng: np.random.Generator | None = None
) -> Result:
    """Test of every path and indirect effect for a difference between the groups.

    est is the first group less the second, with a delta-method interval; with more than two groups there is no single
    difference, only the joint test.  wald, df and p: Wald test of equality in all groups; p_adjusted: Holm's, for paths
    and for indirect effects apart; lr_chisq and lr_p: likelihood ratio (paths only; scaled with a robust estimator);
    boot_low, boot_high, boot_p: percentile interval of resampled respondents (of whole clusters, if the study has them).

    Notes
    -----
    R: ``lavTestWald(fit, "b1 == b2")``, ``lavTestLRT(fit, fit_with_equal_path, method = "satorra.2000", A.method =
    "exact")``, ``bootstrapLavaan``.
    """
    compared = found.ladder.compared
    if found.fit is None:
        assert found.why_not is not None
        return nothing(DIFFERENCES, found.why_not)
    fit, effects, names = found.fit, found.effects, compared.large
    table, notes = group_effects.wald(fit, effects), list(fit.warnings)
    if len(names) > 2:
        notes.append(
            _(
                "With {groups} groups there is no single difference: est and its interval are empty, the test is of equality in all "
                "groups.",
                groups=len(names),
            )
        )
    elif n_boot:
        table, note = _resampled(found, table, n_boot, rng)
        notes += note
    table[["group_a", "group_b"]] = names if len(names) == 2 else (np.nan, np.nan)
    direct = table["kind"] == "direct"
    ratio = group_effects.equal_paths(fit, [effects[at] for at in table.index[direct]])
    table.loc[direct, ["lr_chisq", "lr_p"]] = ratio[["d_chisq", "d_p"]].to_numpy()
    if lost := int(ratio["d_p"].isna().sum()):
        notes.append(
            n_(
                "{n:,} path set equal had no optimum: lr_chisq and lr_p are empty there.",
                "{n:,} paths set equal had no optimum: lr_chisq and lr_p are empty there.",
                lost,
            )
        )
    table["p_adjusted"] = table.groupby(direct)["p"].transform(holm)
    table = table.assign(grouping=compared.column, n=fit.n_used).reindex(columns=DIFFERENCES)
    return Result(
        table,
        _differences(table, compared),
        fit.n_used,
        _("Wald, delta method and likelihood ratio; Holm's correction"),
        together(_doubt(found), *notes),
    )


def _resampled(
    found: Structures, table: pd.DataFrame, n_boot: int, rng: np.random.Generator | None
) -> tuple[pd.DataFrame, list[Text]]:
    """The table of differences with bootstrap intervals, and what to know of them."""
    from cxlib.sem.resampling import bootstrap

    fit, compared = found.fit, found.ladder.compared
    if fit is None or fit.missing != "listwise" or fit.estimator == "WLSMV":
        return table, [
            _(
                "Incomplete rows, and fits by WLSMV, are not resampled: there are no bootstrap intervals."
            )
        ]
    draws = bootstrap(
        numbered(compared),
        fit,
        n_boot,
        cast("np.random.Generator", rng),  # draws need one; only without them may it be left out
        group=groups.GROUP,
        cluster=compared.study.cluster or None,
    )
    boot = group_effects.resampled(fit, found.effects, draws)
    boot.columns = pd.Index(["boot_low", "boot_high", "boot_p", "draws"])
    lost = _(
        "{failed} of {draws:,} bootstrap samples have no optimum and were left out.",
        failed=draws.failed,
        draws=len(draws),
    )
    return table.join(boot), [lost] if draws.failed else []


@makes("hypothesis_tests", " ".join(TESTS))
def hypothesis_tests(
    data: pd.DataFrame,
    study: Study,
    *others: Result,
    estimator: str = "ML",
    missing: str = "listwise",
    merge_answers: bool = False,
    language: str = "en",
) -> Result:
    """Every hypothesis that a path differs between the levels of a column (`by`), for the table of verdicts.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
    others : Result
        Tables of other tests with a column id (such as :func:`cxlib.stages.groups.moderation.moderation`), whose rows are added.
    estimator, missing, merge_answers :
        As :func:`cxlib.stages.groups.groups.ladder`.
    language : {"en", "zh"}
        Of the column note.

    Returns
    -------
    Result
        id, est (first declared group less the second), ci_low, ci_high, p, n, std, test, notebook, note.  What could not be
        tested has a row without numbers, and the reason in note.
    """
    rows: list[dict[str, Any]] = []
    notes: list[Text] = []
    settings = {"estimator": estimator, "missing": missing, "merge_answers": merge_answers}
    for code, hypothesis, found in _asked(data, study, settings):
        if (why := found.why_not or _doubt(found)) is not None:
            notes.append(_("{id}: {reason}", id=code, reason=why))
            rows.append({"id": code, "notebook": "08_groups", "note": why[language]})
        else:
            rows.append(_path_test(code, hypothesis, found))
    for other in others:
        known = other.table[other.table["id"].isin(study.hypotheses)]
        rows += known.reindex(columns=TESTS).to_dict("records")
    table = pd.DataFrame(rows, columns=TESTS).sort_values(
        "id",
        key=lambda ids: ids.map(list(study.hypotheses).index),
        kind="stable",
        ignore_index=True,
    )
    tested = table[table["p"].notna()]
    return Result(
        table,
        n_(
            "{n:,} hypothesis of the study about groups and moderation: tested here, judged in the report.",
            "{n:,} hypotheses of the study about groups and moderation: tested here, judged in the report.",
            len(tested),
        )
        if len(tested)
        else _("The study has no hypothesis about groups or moderation that could be tested here."),
        int(tested["n"].max()) if len(tested) else 0,
        _("Wald z of the difference; interaction"),
        tuple(notes),
    )


def _asked(
    data: pd.DataFrame, study: Study, settings: dict[str, Any]
) -> Iterator[tuple[str, Hypothesis, Structures]]:
    """Every hypothesis that a path differs, with the model it needs; each model is fitted once."""
    made: dict[tuple[str, str], Structures] = {}
    for code, hypothesis in study.hypotheses.items():
        if not (hypothesis.by and hypothesis.path):
            continue
        key = hypothesis.model, hypothesis.by
        if key not in made:
            compared = groups.compare(
                data, study, hypothesis.by, hypothesis.model, settings["missing"]
            )
            made[key] = structures(groups.ladder(compared, **settings))
        yield code, hypothesis, made[key]


@theme.picture
def plot_paths(
    result: Result, differences: Result, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """Forest of the paths, a line a group; a path that differs between the groups is marked."""
    from matplotlib import pyplot

    table = result.table[result.table["kind"] == "direct"]
    if not len(table):
        return theme.blank(result.text, language)
    names, effects, column = (
        list(table["group"].unique()),
        list(table["effect"].unique()),
        table["grouping"].iloc[0],
    )
    tests = differences.table.set_index(["effect", "kind"])["p_adjusted"]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + (0.2 + 0.16 * len(names)) * len(effects)))
    different = [tests[effect, "direct"] < 0.05 for effect in effects]
    at, ends = table["group"].map(names.index), table["effect"].str.split(" -> ").str[-1]
    forests.forest(
        axes,
        table.assign(
            place=table["effect"].map(effects.index)
            + (at - (len(names) - 1) / 2) * 0.8 / len(names),
            hollow=at % 2 == 1,
            mark=[groups.MARKERS[k] for k in at],
            colour=[
                theme.ROLES[study.role(code)] if code in study.constructs else theme.INK
                for code in ends
            ],
        ),
        [
            ("* " if sure else "") + named_effect(study, effect)[language]
            for effect, sure in zip(effects, different, strict=True)
        ],
    )
    for k, name in enumerate(names):
        axes.plot(
            [],
            [],
            groups.MARKERS[k],
            color=theme.INK,
            markerfacecolor="white" if k % 2 else theme.INK,
            label=level_name(study, column, name)[language],
        )
    figure.legend(loc="outside upper center", ncols=min(len(names), 4), frameon=False)
    axes.set_xlabel(_("path, loadings equal across groups (95% interval)")[language])
    return figure, joined(
        _(
            "Paths in the groups of {grouping}, n = {n:,}; colour is the role of the outcome.",
            grouping=named(study, column),
            n=result.n_used,
        ),
        n_(
            "{n:,} path marked * differs between groups after Holm's correction.",
            "{n:,} paths marked * differ between groups after Holm's correction.",
            sum(different),
        ),
    )


def _path_test(code: str, hypothesis: Hypothesis, found: Structures) -> dict:
    """One hypothesis that a path differs."""
    outcome, predictor = path(hypothesis.path)
    fit, names = found.fit, found.ladder.compared.large
    assert fit is not None
    wanted = [paths.effect(fit.model, f"{predictor} -> {outcome}")]
    std = [group_effects.standardised(fit, wanted, g)[0] for g in range(len(names))]
    test = group_effects.wald(fit, wanted).iloc[0]
    said = (
        f"difference of paths ({names[0]} less {names[1]})"
        if len(names) == 2
        else f"Wald χ²({test['df']})"
    )
    return test[["est", "ci_low", "ci_high", "p"]].to_dict() | {
        "id": code,
        "n": fit.n_used,
        "std": std[0] - std[1] if len(names) == 2 else np.nan,
        "test": f"{said}, loadings equal",
        "notebook": "08_groups",
        "note": "",
    }


def _effects(model: sem.Model, study: Study, name: str) -> tuple[paths.Effect, ...]:
    """Every path, the indirect effects the study has hypotheses about, and the whole indirect ones from start to end."""
    rows = model.table[(model.table["op"] == "~") & (model.table["group"] == 0)]
    out = [paths.effect(model, f"{row.rhs} -> {row.lhs}") for row in rows.itertuples()]
    causes, outcomes = list(dict.fromkeys(rows["rhs"])), list(dict.fromkeys(rows["lhs"]))
    for hypothesis in study.hypotheses.values():
        if hypothesis.model == name and hypothesis.effect and len(steps(hypothesis.effect)) > 2:
            out.append(paths.effect(model, hypothesis.effect))
    for start in (code for code in causes if code not in outcomes):
        for end in (code for code in outcomes if code not in causes):
            out += [e for e in paths.between(model, start, end) if e.kind == "indirect"]
    return tuple({(e.name, e.kind): e for e in out}.values())


def _doubt(found: Structures) -> Text | None:
    """Why the paths of the groups should not be compared."""
    assert found.fit is not None
    if not found.fit.trustworthy:
        return _("The solution of the structural model in the groups cannot be trusted.")
    if not found.ladder.held("metric"):
        return _(
            "Loadings differ between the groups, even after the search: their paths do not have one unit."
        )
    return None


def _differences(table: pd.DataFrame, compared: Comparison) -> Text:
    """How many paths and indirect effects differ, and which."""
    direct = table["kind"] == "direct"
    paths, effects = table[direct], table[~direct]
    return joined(
        _differ(paths, n_("{n:,} path", "{n:,} paths", len(paths)), compared),
        _differ(
            effects, n_("{n:,} indirect effect", "{n:,} indirect effects", len(effects)), compared
        ),
    )


def _differ(part: pd.DataFrame, all_of_them: Sentence, compared: Comparison) -> Text:
    """How many of some effects differ, and the first four of them."""
    if not len(part):
        return joined("")
    sure = part[part["p_adjusted"] < 0.05]
    names = clauses(
        _(
            "{effect} ({p})",
            effect=named_effect(compared.study, row.effect),
            p=p_text(row.p_adjusted),
        )
        for row in sure.head(4).itertuples()
    )
    which = _(": {names}", names=names) if len(sure) else ""
    if 1 in (len(sure), len(part)):
        return _(
            "{sure} of {paths} differs between the groups after Holm's correction{which}.",
            sure=len(sure),
            paths=all_of_them,
            which=which,
        )
    return _(
        "{sure} of {paths} differ between the groups after Holm's correction{which}.",
        sure=len(sure),
        paths=all_of_them,
        which=which,
    )
