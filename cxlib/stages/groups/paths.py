"""Stage 08, the paths: is it the same story in every group?

The structural model is fitted to all groups at once, with the loadings equal that the ladder of invariance left equal:
only then have the paths one unit.  A difference between groups is tested for itself; that a path is significant in one
group and not in another is no test of it (Gelman & Stern 2006, doi:10.1198/000313006X152649).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.result import Result, Text, nothing, together
from cxlib.core.syntax import path, steps
from cxlib.core.words import p_text, plural
from cxlib.diagram import forests
from cxlib.sem import invariance, paths
from cxlib.sem.restrictions import likelihood_ratios
from cxlib.sem.result import Z95
from cxlib.stages.groups import groups
from cxlib.stages.groups.groups import Comparison, Ladder, numbered
from cxlib.statistics.multiple_testing import holm
from cxlib.study.levels import level_name
from cxlib.study.names import named_effect

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
    """The structural model in every group, loadings equal."""

    ladder: Ladder
    fit: Fit | None = field(default=None, repr=False)
    effects: tuple[paths.Effect, ...] = ()
    why_not: Text | None = None


def structures(ladder: Ladder) -> Structures:
    """Fit the structural model in all groups at once, loadings equal except those the search freed; estimator as the ladder's."""
    compared, study = ladder.compared, ladder.compared.study
    why_not = ladder.why_not
    if why_not is None and "metric" not in ladder.final:
        why_not = {
            "en": "The groups do not share one measurement model, so their paths do not compare.",
            "zh": "各组没有共同的测量模型，路径不可比。",
        }
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
        return Structures(
            ladder,
            why_not={
                "en": f"The structural model cannot be fitted in every group: {error}",
                "zh": f"结构模型无法在每个组中拟合：{error}",
            },
        )
    return Structures(ladder, fit, _effects(fit.model, study, compared.model))


def group_paths(found: Structures) -> Result:
    """Every path and indirect effect in every group (delta-method intervals), loadings equal.

    Notes
    -----
    R: ``sem(model, data, group = "g", group.equal = "loadings")``, indirect effects defined with ``:=``.
    """
    compared = found.ladder.compared
    if found.why_not is not None:
        return nothing(PATHS, found.why_not)
    fit, effects, parts = found.fit, list(found.effects), []
    for g, level in enumerate(compared.large):
        std = paths.values(fit.model, effects, fit.theta[None], True, g)[0]
        one = paths.inference(
            fit,
            lambda theta, g=g: paths.values(fit.model, effects, theta, False, g),
            [(e.name, e.kind, value) for e, value in zip(effects, std, strict=True)],
        )
        parts.append(one.assign(grouping=compared.column, group=level, n=fit.sample[g].n))
    table = pd.concat(parts).sort_index(kind="stable", ignore_index=True)  # effect by effect
    direct = table[table["kind"] == "direct"]
    clear = {
        level: int((direct.loc[direct["group"] == level, "p"] < 0.05).sum())
        for level in compared.large
    }
    said = {
        lang: [f"{compared.name(level, lang)} {count}" for level, count in clear.items()]
        for lang in ("en", "zh")
    }
    total = len(direct) // len(clear)
    return Result(
        table[PATHS],
        {
            "en": f"Of {plural(total, 'path')}, clear of zero (p < .05): {', '.join(said['en'])}.",
            "zh": f"共 {total} 条路径，显著不为零（p < .05）的条数：{'，'.join(said['zh'])}。",
        },
        fit.n_used,
        f"{fit.method}; loadings equal",
        together(_doubt(found), *fit.warnings),
    )


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
    from cxlib.sem.resampling import bootstrap

    compared = found.ladder.compared
    if found.why_not is not None:
        return nothing(DIFFERENCES, found.why_not)
    fit, effects, names = found.fit, list(found.effects), compared.large
    table, notes = wald(fit, effects), list(fit.warnings)
    if len(names) > 2:
        notes.append(
            {
                "en": f"With {len(names)} groups there is no single difference: est and its interval are empty, the test is "
                "of equality in all groups.",
                "zh": f"共 {len(names)} 组，没有单一的差值：est 及其区间为空，检验的是各组全部相等。",
            }
        )
    elif n_boot and (fit.missing != "listwise" or fit.estimator == "WLSMV"):
        notes.append(
            {
                "en": "Incomplete rows, and fits by WLSMV, are not resampled: there are no bootstrap intervals.",
                "zh": "含缺失的数据和 WLSMV 不作重抽样：没有自助区间。",
            }
        )
    elif n_boot:
        draws = bootstrap(
            numbered(compared),
            fit,
            n_boot,
            rng,
            group=groups.GROUP,
            cluster=compared.study.cluster or None,
        )
        boot = paths.inference(
            fit,
            lambda theta: _gaps(fit.model, effects, theta)[..., 0],
            [(e.name, e.kind, np.nan) for e in effects],
            draws,
        ).query("interval == 'percentile'")
        table[["boot_low", "boot_high", "boot_p", "draws"]] = boot[
            ["ci_low", "ci_high", "p", "converged"]
        ].reset_index(drop=True)
        if draws.failed:
            notes.append(
                {
                    "en": f"{draws.failed} of {len(draws):,} bootstrap samples have no optimum and were left out.",
                    "zh": f"{len(draws):,} 次重抽样中有 {draws.failed} 次没有最优解，已剔除。",
                }
            )
    table[["group_a", "group_b"]] = names if len(names) == 2 else (np.nan, np.nan)
    direct = table["kind"] == "direct"
    ratio = likelihood_ratios(
        fit, [_equalities(fit.model, effects[at]) for at in table.index[direct]]
    )
    table.loc[direct, ["lr_chisq", "lr_p"]] = ratio[["d_chisq", "d_p"]].to_numpy()
    if lost := int(ratio["d_p"].isna().sum()):
        notes.append(
            {
                "en": f"{plural(lost, 'path')} set equal had no optimum: lr_chisq and lr_p are empty there.",
                "zh": f"有 {lost} 条路径设为相等后没有最优解：该处 lr_chisq 与 lr_p 为空。",
            }
        )
    table["p_adjusted"] = table.groupby(direct)["p"].transform(holm)
    table = table.assign(grouping=compared.column, n=fit.n_used).reindex(columns=DIFFERENCES)
    return Result(
        table,
        _differences(table, compared),
        fit.n_used,
        "Wald, delta method and likelihood ratio; Holm's correction",
        together(_doubt(found), *notes),
    )


def wald(fit: Fit, effects: Sequence[paths.Effect]) -> pd.DataFrame:
    """Test that each effect is equal in all groups: effect, kind, wald (χ²), df, p.

    Of two groups also est (first less second), se and the interval (NaN for more), by the delta method.
    """
    from scipy.special import chdtrc

    gap = _gaps(fit.model, effects, fit.theta[None])[0]
    slope = _gaps(fit.model, effects, fit.theta + 1e-30j * np.eye(len(fit.theta))).imag / 1e-30
    cov = np.einsum("pki,pq,qkj->kij", slope, fit.vcov, slope, optimize=True)
    chisq, df = (
        np.einsum("ki,ki->k", gap, np.linalg.solve(cov, gap[:, :, None])[:, :, 0]),
        gap.shape[1],
    )
    est, se = (gap[:, 0], np.sqrt(cov[:, 0, 0])) if df == 1 else (np.nan, np.nan)
    return pd.DataFrame(
        {
            "effect": [e.name for e in effects],
            "kind": [e.kind for e in effects],
            "wald": chisq,
            "df": df,
            "p": chdtrc(df, chisq),
            "est": est,
            "se": se,
            "ci_low": est - Z95 * se,
            "ci_high": est + Z95 * se,
        }
    )


def _gaps(model: sem.Model, effects: Sequence[paths.Effect], theta: np.ndarray) -> np.ndarray:
    """Effects of the first group less those of each other one, (R, k, groups - 1)."""
    first, *others = (paths.values(model, effects, theta, False, g) for g in range(model.n_groups))
    return np.stack([first - other for other in others], axis=2)


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
    made: dict[tuple[str, str], Structures] = {}
    rows, notes = [], []
    for code, hypothesis in study.hypotheses.items():
        if not (hypothesis.by and hypothesis.path):
            continue
        key = hypothesis.model, hypothesis.by
        if key not in made:
            made[key] = structures(
                groups.ladder(
                    groups.compare(data, study, hypothesis.by, hypothesis.model, missing),
                    estimator=estimator,
                    missing=missing,
                    merge_answers=merge_answers,
                )
            )
        if (why := made[key].why_not or _doubt(made[key])) is not None:
            notes.append(
                {
                    lang: f"{code}: {why[lang]}" if lang == "en" else f"{code}：{why[lang]}"
                    for lang in ("en", "zh")
                }
            )
            rows.append({"id": code, "notebook": "08_groups", "note": why[language]})
            continue
        rows.append(_path_test(code, hypothesis, made[key]))
    for other in others:
        rows += (
            other.table[other.table["id"].isin(study.hypotheses)]
            .reindex(columns=TESTS)
            .to_dict("records")
        )
    table = pd.DataFrame(rows, columns=TESTS)
    table = table.sort_values(
        "id",
        key=lambda ids: ids.map(list(study.hypotheses).index),
        kind="stable",
        ignore_index=True,
    )
    tested = table[table["p"].notna()]
    used = int(tested["n"].max()) if len(tested) else 0
    return Result(
        table,
        {
            "en": f"{plural(len(tested), 'hypothesis', 'hypotheses')} of the study about groups and moderation: tested here, judged in the "
            "report."
            if len(tested)
            else "The study has no hypothesis about groups or moderation that could be tested here.",
            "zh": f"该研究有 {len(tested)} 个关于分组与调节的假设在此检验，结论见报告。"
            if len(tested)
            else "该研究没有可在此检验的关于分组或调节的假设。",
        },
        used,
        "Wald z of the difference; interaction",
        tuple(notes),
    )


@theme.picture
def plot_paths(
    result: Result, differences: Result, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """Forest of the paths, a line a group; a path that differs between the groups is marked."""
    from matplotlib import pyplot

    table = result.table[result.table["kind"] == "direct"]
    if not len(table):
        return groups.blank(result.text, language)
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
            label=level_name(study, column, name, language),
        )
    figure.legend(loc="outside upper center", ncols=min(len(names), 4), frameon=False)
    axes.set_xlabel(
        {
            "en": "path, loadings equal across groups (95% interval)",
            "zh": "路径系数，各组载荷相等（95% 区间）",
        }[language]
    )
    return figure, {
        "en": f"Paths in the groups of {study.name(column, 'en')}, n = {result.n_used:,}; colour is the role of the outcome. "
        f"{plural(sum(different), 'path')} marked * {'differs' if sum(different) == 1 else 'differ'} between groups after Holm's correction.",
        "zh": f"按{study.name(column, 'zh')}分组的路径，n = {result.n_used:,}；颜色为结果变量的角色。经 Holm 校正，{sum(different)} 条标 * 的路径"
        "在组间有差异。",
    }


def _path_test(code: str, hypothesis: Hypothesis, found: Structures) -> dict:
    """One hypothesis that a path differs."""
    outcome, predictor = path(hypothesis.path)
    wanted, fit, names = (
        [paths.effect(found.fit.model, f"{predictor} -> {outcome}")],
        found.fit,
        found.ladder.compared.large,
    )
    std = [
        paths.values(fit.model, wanted, fit.theta[None], True, g)[0, 0] for g in range(len(names))
    ]
    test = wald(fit, wanted).iloc[0]
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
    if not found.fit.trustworthy:
        return {
            "en": "The solution of the structural model in the groups cannot be trusted.",
            "zh": "各组结构模型的解不可信。",
        }
    if not found.ladder.held("metric"):
        return {
            "en": "Loadings differ between the groups, even after the search: their paths do not have one unit.",
            "zh": "即使经过搜索，各组载荷仍不相等：各组路径没有共同的单位。",
        }
    return None


def _equalities(model: sem.Model, effect: paths.Effect) -> np.ndarray:
    """The restriction that a path is equal in all groups: rows with 1 and −1."""
    start, end = effect.chains[0]
    table = model.table
    free = (
        table.loc[
            (table["lhs"] == end) & (table["op"] == "~") & (table["rhs"] == start), "free"
        ].to_numpy(int)
        - 1
    )
    out = np.zeros((len(free) - 1, model.npar))
    out[:, free[0]] = 1
    out[np.arange(len(free) - 1), free[1:]] = -1
    return out


def _differences(table: pd.DataFrame, compared: Comparison) -> Text:
    """How many paths and indirect effects differ, and which."""
    out, direct = {"en": "", "zh": ""}, table["kind"] == "direct"
    for part, en, zh in (
        (table[direct], "path", "路径"),
        (table[~direct], "indirect effect", "间接效应"),
    ):
        sure, form = part[part["p_adjusted"] < 0.05], {"en": "{} ({})", "zh": "{}（{}）"}
        shown = {
            lang: [
                words.format(named_effect(compared.study, row.effect)[lang], p_text(row.p_adjusted))
                for row in sure.head(4).itertuples()
            ]
            for lang, words in form.items()
        }
        if len(part):
            out["en"] += (
                f"{len(sure)} of {plural(len(part), en)} {'differs' if 1 in (len(sure), len(part)) else 'differ'} between the groups "
                f"after Holm's correction{': ' + '; '.join(shown['en']) if len(sure) else ''}. "
            )
            out["zh"] += (
                f"{len(part)} 条{zh}中有 {len(sure)} 条经 Holm 校正后在组间有差异{'：' + '；'.join(shown['zh']) if len(sure) else ''}。"
            )
    return {"en": out["en"].strip(), "zh": out["zh"]}
