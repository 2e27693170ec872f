"""Stage 08: is it the same scale in every group, and is it the same story?

A comparison of groups climbs: the same questions (configural), the same meaning (metric: paths may be compared), the
same zero (scalar: means may), the same precision (strict: sums may).  Groups too small for a model are compared by the
means of their answers, and the table says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.result import Result, Text, nothing, together
from cxlib.core.theme import blank
from cxlib.core.words import number, p_text, plural
from cxlib.diagram import forests
from cxlib.sem import invariance as steps
from cxlib.sem import permutation
from cxlib.stages.groups import answers as group_answers
from cxlib.statistics.multiple_testing import holm
from cxlib.study.levels import level_name, level_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem import Fit
    from cxlib.study.schema import Study

SMALLEST, LATENT, PER_ITEM, MOST = 20, 100, 3, 8
"""A group below SMALLEST is left out.  A model needs LATENT complete answers in a group, and PER_ITEM for each question;
beyond MOST groups it is not read any more.  Conventions; power with 100 a group is low (Meade & Bauer 2007,
doi:10.1080/10705510701575461)."""
UNBALANCED = 4
"""A largest group so many times the smallest hides misfit in the small one (Yoon & Lai 2018, doi:10.1080/10705511.2017.1387859)."""
GROUP = "group_"
MARKERS = "osD^vPXh"
LEVELS = {
    "configural": ("same questions", "题目相同"),
    "thresholds": ("same thresholds between the answers", "选项之间的阈值相同"),
    "metric": ("same loadings: paths compare", "载荷相同：可比较路径"),
    "metric_second": ("same second-order loadings", "二阶载荷相同"),
    "scalar": ("same intercepts: means compare", "截距相同：可比较均值"),
    "scalar_second": (
        "same first-order intercepts: second-order means compare",
        "一阶截距相同：可比较二阶均值",
    ),
    "strict_second": ("same disturbances", "扰动相同"),
    "strict": ("same residuals: sums compare", "残差相同：可比较总分"),
}
"""What is equal at each level, and what it permits."""
INVARIANCE = [
    "grouping",
    "level",
    "chisq",
    "df",
    "cfi",
    "tli",
    "rmsea",
    "srmr",
    "aic",
    "bic",
    "d_chisq",
    "d_df",
    "d_p",
    "d_cfi",
    "d_rmsea",
    "holds",
]
PARTIAL = [
    "grouping",
    "level",
    "step",
    "freed",
    "group",
    "mi",
    "p_adjusted",
    "epc",
    "d_chisq",
    "d_df",
    "d_p",
    "d_cfi",
    "d_rmsea",
    "outcome",
]
MEANS = [
    "grouping",
    "construct",
    "group",
    "reference",
    "est",
    "se",
    "z",
    "p",
    "p_adjusted",
    "ci_low",
    "ci_high",
    "d",
    "d_low",
    "d_high",
    "n",
    "level",
]


@dataclass(frozen=True)
class Comparison:
    """Who is compared with whom, and how.

    data : rows of a known group, with the group in the column GROUP; groups : those large enough for composites, in the
    declared order; large : those large enough for a model; sizes : group, n, used, compared_by; why_not : the reason
    if no model can be compared; notes : what was left out.
    """

    study: Study
    column: str
    model: str
    data: pd.DataFrame = field(repr=False)
    sizes: pd.DataFrame = field(repr=False)
    groups: tuple[str, ...] = ()
    large: tuple[str, ...] = ()
    why_not: Text | None = None
    notes: tuple[Text, ...] = ()

    def name(self, level: str, language: str) -> str:
        """The words for a group."""
        return level_name(self.study, self.column, level, language)


@dataclass(frozen=True)
class Ladder:
    """The levels of invariance: fits of the whole ones, and of the partial search with what it freed."""

    compared: Comparison
    criterion: str = "approximate"
    fits: Mapping[str, Fit] = field(default_factory=dict, repr=False)
    final: Mapping[str, Fit] = field(default_factory=dict, repr=False)
    freed: frozenset = frozenset()
    steps: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    permuted: permutation.Permuted | None = field(default=None, repr=False)
    why_not: Text | None = None
    notes: tuple[Text, ...] = ()

    def held(self, level: str) -> bool:
        """Whether a level holds, in part at least."""
        return bool(len(self.steps)) and bool(
            ((self.steps["level"] == level) & (self.steps["outcome"] == "holds")).any()
        )


def compare(
    data: pd.DataFrame,
    study: Study,
    group: str = "",
    model: str = "main",
    missing: str = "listwise",
) -> Comparison:
    """Sort respondents into the groups of a column, and say which of them can be compared, and by what.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
    group : str
        One of the study's grouping columns; empty for the first.
    model : str
        Which of the study's models will be compared.
    missing : str
        How :func:`ladder` will treat missing answers: unless "listwise", a row with any answer counts for the model.

    Raises
    ------
    ValueError
        `group` is not a grouping column of the study, or `model` not one of its models.
    """
    if model not in study.models:
        raise ValueError(
            f"The study '{study.id}' has no model '{model}'. Its models: {', '.join(study.models)}."
        )
    if group and group not in study.groups:
        near = difflib.get_close_matches(group, study.groups, 1)
        raise ValueError(
            f"'{group}' is not a grouping column of the study '{study.id}'."
            + (f" Did you mean '{near[0]}'?" if near else "")
            + f" Allowed: {', '.join(study.groups) or 'none; mark one with group: true in the study file'}."
        )
    column = group or next(iter(study.groups), "")
    empty = pd.DataFrame(columns=["grouping", "group", "n", "used", "compared_by"])
    if not column:
        return Comparison(
            study,
            "",
            model,
            data.iloc[:0],
            empty,
            why_not={
                "en": "The study declares no grouping column (group: true), so there are no groups to compare.",
                "zh": "该研究没有声明分组列（group: true），因此没有可比较的组。",
            },
        )
    frame = data[data[column].notna()].copy()
    frame[GROUP] = [level_of(value) for value in frame[column]]
    declared = list(study.columns[column].levels) or sorted(frame[GROUP].unique())
    present = [
        *(level for level in declared if (frame[GROUP] == level).any()),
        *sorted(set(frame[GROUP]) - set(declared)),
    ]
    items = _items(study, model)
    answered = frame[items].notna()
    used = frame.loc[
        answered.all(axis=1) if missing == "listwise" else answered.any(axis=1), GROUP
    ].value_counts()
    needed = max(LATENT, PER_ITEM * len(items))
    sizes = pd.DataFrame(
        {
            "grouping": column,
            "group": present,
            "n": [int((frame[GROUP] == level).sum()) for level in present],
            "used": [int(used.get(level, 0)) for level in present],
        }
    )
    kept = [level for level, n in zip(present, sizes["n"], strict=True) if n >= SMALLEST]
    large = [
        level
        for level, n in zip(present, sizes["used"], strict=True)
        if n >= needed and level in kept
    ]
    sizes["compared_by"] = [
        "nothing" if g not in kept else "model and means" if g in large else "means"
        for g in present
    ]
    made = Comparison(study, column, model, frame, sizes, tuple(kept), tuple(large))
    notes, why_not = _accounts(made, len(data) - len(frame), items, needed, missing)
    return replace(made, large=made.large if why_not is None else (), why_not=why_not, notes=notes)


def sizes(compared: Comparison) -> Result:
    """How large the groups are, and what each is compared by (grouping, group, n, used, compared_by).

    The rule: below 20 respondents a group is left out; a model needs 100 complete answers and three for each question;
    anything between is compared by the means of the answers.
    """
    table, column = compared.sizes, compared.column
    if not len(table):
        return nothing(list(table), compared.why_not)
    said = {lang: "、".join if lang == "zh" else ", ".join for lang in ("en", "zh")}
    names = {
        lang: said[lang](f"{compared.name(row.group, lang)} {row.n}" for row in table.itertuples())
        for lang in ("en", "zh")
    }
    counted = (
        {
            "en": f"{len(compared.large)} can be compared by a model, {len(compared.groups)} by means.",
            "zh": f"可用模型比较 {len(compared.large)} 组，可比较均值 {len(compared.groups)} 组。",
        }
        if len(compared.groups) > 1
        else {"en": "There are no two groups to compare.", "zh": "没有两个组可供比较。"}
    )
    return Result(
        table,
        {
            "en": f"Groups by {compared.study.name(column, 'en')}: {names['en']}. {counted['en']}",
            "zh": f"按{compared.study.name(column, 'zh')}分组：{names['zh']}。{counted['zh']}",
        },
        int(table["n"].sum()),
        "group sizes",
        together(compared.notes, compared.why_not),
    )


def ladder(
    compared: Comparison,
    *,
    criterion: Literal["approximate", "chisq"] = "approximate",
    n_permutations: int = 0,
    rng: np.random.Generator | None = None,
    estimator: str = "ML",
    missing: str = "listwise",
    merge_answers: bool = False,
) -> Ladder:
    """Climb from configural to strict invariance, and where a level does not hold free equalities one at a time.

    Parameters
    ----------
    compared : Comparison
    criterion : str
        When a level holds: "approximate", CFI falls by at most .010 and RMSEA grows by at most .015; or "chisq", the
        difference test is not significant.
    n_permutations : int
        Draws of the permutation test (complete rows only); 0 for none.
    rng : numpy Generator
        For the permutations.
    estimator, missing : str
        As :func:`cxlib.sem.fit`; of what exists for one group only the nearest is taken instead, with a warning: "fiml" for
        "mi", "pairwise" for either with "WLSMV".  "WLSMV" has a level of equal thresholds, frees nothing and permutes nothing.
    merge_answers : bool
        Of WLSMV: merge an answer that nobody of a group gave with its neighbour nearer the middle, in all groups; without it
        there is no ladder then.

    Notes
    -----
    Chen (2007), doi:10.1080/10705510701301834; see :mod:`cxlib.sem.invariance`.
    """
    if compared.why_not is not None:
        return Ladder(compared, criterion, why_not=compared.why_not)
    missing, notes = _available(estimator, missing)
    parts = group_answers.by_group(
        compared.data, _items(compared.study, compared.model), GROUP, compared.large, missing
    )
    if estimator == "WLSMV" and (gap := group_answers.gaps(parts, compared.name)):
        if not merge_answers:
            return Ladder(
                compared,
                criterion,
                why_not={
                    "en": gap["en"]
                    + " Thresholds of a group without that answer do not exist. With merge_answers = True it is merged with "
                    'its neighbour in all groups; or choose another grouping, or estimator = "MLR", which takes '
                    "answers as numbers.",
                    "zh": gap["zh"]
                    + "该组没有这一选项的阈值。用 merge_answers = True 可在所有组中把它与相邻选项合并；也可换一个分组列，"
                    '或用 estimator = "MLR"（把回答当作数值）。',
                },
            )
        data, note = group_answers.merged(compared.data, parts)
        compared, notes = replace(compared, data=data), [*notes, note]
    frame, model = (
        numbered(compared),
        sem.parse(compared.study.measurement(compared.model), means=True),
    )
    settings = {
        "estimator": estimator,
        "missing": missing,
        "cluster": compared.study.cluster or None,
    }
    try:
        fits = steps.ladder(frame, model, GROUP, **settings)
        final, freed, table = steps.partial(
            frame, model, GROUP, criterion=criterion, known=fits, **settings
        )
    except (sem.ModelError, sem.DataError, np.linalg.LinAlgError) as error:
        return Ladder(
            compared,
            criterion,
            why_not={
                "en": f"The model cannot be fitted in every group: {error}",
                "zh": f"模型无法在每个组中拟合：{error}",
            },
        )
    permuted = None
    if n_permutations and estimator == "WLSMV":
        notes.append(
            {"en": "There is no permutation test with WLSMV.", "zh": "WLSMV 没有置换检验。"}
        )
    elif n_permutations and missing == "listwise":
        permuted = permutation.permutation(
            frame, fits, GROUP, n_permutations, rng, compared.study.cluster or None
        )
        if (lost := n_permutations - int(permuted.p["permutations"].min())) > 0:
            notes.append(
                {
                    "en": f"{lost} of {n_permutations:,} random groupings had no optimum and were left out.",
                    "zh": f"{n_permutations:,} 次随机分组中有 {lost} 次没有最优解，已剔除。",
                }
            )
    elif n_permutations:
        notes.append(
            {
                "en": "There is no permutation test of incomplete rows.",
                "zh": "含缺失的数据没有置换检验。",
            }
        )
    return Ladder(
        compared, criterion, fits, final, frozenset(freed), table, permuted, notes=tuple(notes)
    )


def invariance(ladder: Ladder) -> Result:
    """Every level with all its parameters equal: fit, change against the level before, and whether it holds.

    Notes
    -----
    `holds` needs the levels below to hold too; configural holds if CFI ≥ .90 and SRMR ≤ .08.
    R: ``lavaan::fitMeasures``, ``lavaan::lavTestLRT``.
    """
    if ladder.why_not is not None:
        return nothing(INVARIANCE, ladder.why_not)
    table = steps.compare(ladder.fits)
    table["holds"] = np.logical_and.accumulate(
        [steps.holds(row, ladder.criterion) for row in table.to_dict("records")]
    )
    if ladder.permuted is not None:
        table = table.merge(ladder.permuted.p, on="level", how="left")
    table.insert(0, "grouping", ladder.compared.column)
    table = table[[*INVARIANCE, *(name for name in table if name not in INVARIANCE)]]
    reached = table.loc[table["holds"], "level"].tolist()
    last, fit = reached[-1] if reached else "", next(iter(ladder.fits.values()))
    rule = {
        "approximate": ("ΔCFI ≥ −.010 and ΔRMSEA ≤ .015", "ΔCFI ≥ −.010 且 ΔRMSEA ≤ .015"),
        "chisq": ("Δχ² not significant", "Δχ² 不显著"),
    }[ladder.criterion]
    words = {
        "en": f"Invariance holds up to {last}: {LEVELS[last][0]} ({rule[0]})."
        if last
        else "Not even the configural model fits (CFI ≥ .90, SRMR ≤ .08): the groups do not share one measurement model.",
        "zh": f"不变性成立到 {last} 水平：{LEVELS[last][1]}（{rule[1]}）。"
        if last
        else "连构型模型都不拟合（CFI ≥ .90、SRMR ≤ .08）：各组没有共同的测量模型。",
    }
    doubtful = [
        {"en": f"{level}: {w['en']}", "zh": f"{level}：{w['zh']}"}
        for level, one in ladder.fits.items()
        for w in one.warnings
        if not one.trustworthy
    ]
    unsaid = [
        {
            "en": "The changes of configural, the first level, are empty: there is no level below it.",
            "zh": "configural 为第一级，没有更低的水平可比，其变化量为空。",
        }
    ]
    if fit.estimator == "WLSMV":
        unsaid += group_answers.unsaid(table)
    elif untested := table.loc[table["d_p"].isna(), "level"].tolist()[1:]:
        unsaid.append(
            {
                "en": f"No Δχ² test of {', '.join(untested)}: these solutions do not determine its scaling.",
                "zh": f"{'、'.join(untested)} 没有 Δχ² 检验：这些解不能确定其校正系数。",
            }
        )
    return Result(
        table,
        words,
        fit.n_used,
        fit.method,
        together(*ladder.notes, *fit.warnings, *doubtful, *unsaid),
    )


def partial_invariance(ladder: Ladder) -> Result:
    """Every step of the search: what was freed, its score test, and what the level then looks like.

    The rule: while a level does not hold, free the equality with the largest score test, if that is significant after
    Bonferroni's correction for all equalities of the level and two equal indicators of the construct remain; else stop.
    """
    if ladder.why_not is not None:
        return nothing(PARTIAL, ladder.why_not)
    table, compared = ladder.steps.copy(), ladder.compared
    table["freed"] = [_freed(row) for row in table.itertuples()]
    table["group"] = [
        "" if np.isnan(g) else compared.large[int(g)] for g in table["group"].astype(float)
    ]
    table.insert(0, "grouping", compared.column)
    done = table[table["freed"] != ""]
    form = {"en": "{} ({}, {})", "zh": "{}（{}，{}）"}
    listed = {
        lang: [
            form[lang].format(row.freed, compared.name(row.group, lang), number(row.epc, 2))
            for row in done.itertuples()
        ]
        for lang in form
    }
    last = table.iloc[-1]
    end = {
        "holds": ("every level then holds", "此后各级均成立"),
        "does not hold": ("the configural model does not fit", "构型模型不拟合"),
        "no anchors left": (
            f"{last['level']} does not hold, and freeing more would leave a construct without two equal "
            "indicators",
            f"{last['level']} 不成立，且再放开会使某构念不足两个相等的指标",
        ),
        "not searched": (
            f"{last['level']} does not hold, and with WLSMV no single equality is tested",
            f"{last['level']} 不成立；WLSMV 不逐一检验等值约束",
        ),
        "no significant score test": (
            f"{last['level']} does not hold, but no single equality is to blame",
            f"{last['level']} 不成立，但没有单独可归咎的等值约束",
        ),
    }[last["outcome"]]
    text = {
        "en": f"Freed one at a time: {'; '.join(listed['en'])}; {end[0]}."
        if len(done)
        else f"Nothing was freed: {end[0]}.",
        "zh": f"逐一放开：{'；'.join(listed['zh'])}；{end[1]}。"
        if len(done)
        else f"没有放开任何约束：{end[1]}。",
    }
    fit = next(iter(ladder.fits.values()))
    return Result(
        table[PARTIAL],
        text,
        fit.n_used,
        "WLSMV: no search" if fit.estimator == "WLSMV" else "score tests, Bonferroni",
        (
            {
                "en": "Step 0 of a level frees nothing and has no score test; configural has no level below to be compared with.",
                "zh": "每级的第 0 步没有放开约束，因而没有得分检验；configural 没有更低的水平可比。",
            },
        ),
    )


def latent_means(ladder: Ladder) -> Result:
    """Latent means less those of the first group, as estimates and as effect sizes d, with 95 % intervals.

    From the scalar level, with what the search freed; p_adjusted is Holm's over all rows.

    Notes
    -----
    See :func:`cxlib.sem.invariance.latent_means`.
    """
    compared = ladder.compared
    level = next((name for name in ("scalar_second", "scalar") if name in ladder.final), "")
    why_not = ladder.why_not or (
        None
        if level
        else {
            "en": f"The {next(reversed(ladder.final))} level does not hold, even in part, so the means of the constructs do not compare.",
            "zh": f"{next(reversed(ladder.final))} 水平（即使部分）不成立，构念均值不可比。",
        }
    )
    if why_not is not None:
        return nothing(MEANS, why_not)
    fit, names = ladder.final[level], compared.large
    table = steps.latent_means(fit)
    table["group"] = [names[g] for g in table["group"]]
    partly = any(op == "~1" for _, op, _, _ in ladder.freed)
    table = table.assign(
        grouping=compared.column,
        reference=names[0],
        p_adjusted=holm(table["p"]),
        n=fit.n_used,
        level=("partial " if partly else "") + level,
    )
    sure = table[table["p_adjusted"] < 0.05]
    top = table.loc[table["d"].abs().idxmax()]
    words = {
        lang: (
            compared.study.name(top["construct"], lang),
            compared.name(top["group"], lang),
            compared.name(names[0], lang),
        )
        for lang in ("en", "zh")
    }
    size = f"d = {number(top['d'], 2)} [{number(top['d_low'], 2)}, {number(top['d_high'], 2)}]"
    doubt = (
        ()
        if ladder.held(level)
        else (
            {
                "en": f"The {level} level does not hold: a difference of means may be one of how questions are answered.",
                "zh": f"{level} 水平不成立：均值差异可能来自作答方式的不同。",
            },
        )
    )
    return Result(
        table[MEANS],
        {
            "en": f"{len(sure)} of {plural(len(table), 'difference')} of latent means are clear after Holm's correction. The largest: "
            f"{words['en'][0]}, {words['en'][1]} against {words['en'][2]}, {size}.",
            "zh": f"{len(table)} 个潜均值差异中，{len(sure)} 个经 Holm 校正后明确。最大的是{words['zh'][0]}：{words['zh'][1]}相对"
            f"{words['zh'][2]}，{size}。",
        },
        fit.n_used,
        "latent means, first group 0; d by the pooled latent variance; delta method",
        (*fit.warnings, *doubt),
    )


def _items(study: Study, model: str) -> list[str]:
    """The items below the constructs of a model."""
    return [item for code in study.model_constructs(model) for item in study.constructs[code].items]


def numbered(compared: Comparison) -> pd.DataFrame:
    """The rows of the large groups, the groups numbered so that their declared order is the sorted one."""
    frame = compared.data[compared.data[GROUP].isin(compared.large)]
    return frame.assign(
        **{
            GROUP: frame[GROUP].map(
                {level: f"{at + 1}: {level}" for at, level in enumerate(compared.large)}
            )
        }
    )


def _available(estimator: str, missing: str) -> tuple[str, list[Text]]:
    """The treatment of missing values that exists for several groups, and what is said if it is another."""
    if estimator == "WLSMV" and missing in ("fiml", "mi"):
        return "pairwise", [
            {
                "en": f'WLSMV has no missing = "{missing}"; pairs of answers are used instead (pairwise).',
                "zh": f'WLSMV 没有 missing = "{missing}"；改用成对作答（pairwise）。',
            }
        ]
    if missing == "mi":
        return "fiml", [
            {
                "en": "Imputed data sets are not compared between groups; every answer given is used instead (fiml).",
                "zh": "多重填补不用于分组比较；改为使用所有已给出的回答（fiml）。",
            }
        ]
    return missing, []


def _accounts(
    compared: Comparison, unknown: int, items: Sequence[str], needed: int, missing: str
) -> tuple[tuple[Text, ...], Text | None]:
    """What was left out and what to beware of; and why no model can be compared, None if one can."""
    column, table, notes = compared.column, compared.sizes, []
    en, zh = ("complete answers", "完整答卷") if missing == "listwise" else ("answers", "答卷")
    if unknown:
        notes.append(
            {
                "en": f"{plural(unknown, 'respondent')} did not say their '{column}' and belong to no group.",
                "zh": f"{unknown} 名受访者未提供“{column}”，不属于任何组。",
            }
        )
    for row in table[table["compared_by"] == "nothing"].itertuples():
        notes.append(
            {
                "en": f"Group '{row.group}' has {row.n} respondents, fewer than {SMALLEST}: it is left out.",
                "zh": f"“{compared.name(row.group, 'zh')}”组只有 {row.n} 人，不足 {SMALLEST} 人，予以剔除。",
            }
        )
    for row in table[table["compared_by"] == "means"].itertuples():
        notes.append(
            {
                "en": f"Group '{row.group}' has {row.used} {en}; a model of {len(items)} questions needs {needed}. "
                "It is compared by the means of its answers only.",
                "zh": f"“{compared.name(row.group, 'zh')}”组有 {row.used} 份{zh}，而 {len(items)} 题的模型需要 {needed} 份；"
                "只比较其答案均值。",
            }
        )
    used = table[table["compared_by"] == "model and means"]
    if len(used) > 1 and used["used"].max() > UNBALANCED * used["used"].min():
        big, small = used.loc[used["used"].idxmax()], used.loc[used["used"].idxmin()]
        notes.append(
            {
                "en": f"Group '{big['group']}' is {big['used'] / small['used']:.1f} times as large as '{small['group']}': "
                "misfit of the small one hardly shows in the fit of both.",
                "zh": f"“{big['group']}”组是“{small['group']}”组的 {big['used'] / small['used']:.1f} 倍：小组的误差在总体拟合中"
                "难以显现。",
            }
        )
    if gap := group_answers.gaps(
        group_answers.by_group(compared.data, items, GROUP, used["group"], "pairwise"),
        compared.name,
    ):
        notes.append(
            {
                "en": gap["en"]
                + " Nothing is lost where answers are taken as numbers; thresholds could not be compared.",
                "zh": gap["zh"] + "把回答当作数值时没有损失；但无法比较阈值。",
            }
        )
    if len(table) < 2:
        level = table["group"].iloc[0] if len(table) else "no value"
        return tuple(notes), {
            "en": f"'{column}' has one level in these data ({level}), so there is nothing to compare.",
            "zh": f"“{column}”在数据中只有一个水平（{level}），无可比较。",
        }
    if len(used) < 2:
        return tuple(notes), {
            "en": f"Fewer than two groups of '{column}' are large enough for a model ({needed} {en}); see "
            "the comparison of means.",
            "zh": f"“{column}”中达到模型要求（{needed} 份{zh}）的组不足两个；请看均值比较。",
        }
    if len(used) > MOST:
        return tuple(notes), {
            "en": f"'{column}' has {len(used)} groups; a ladder of more than {MOST} cannot be read. Merge levels in the "
            "study file, or see the comparison of means.",
            "zh": f"“{column}”有 {len(used)} 个组，超过 {MOST} 组的不变性检验难以解读。请在研究文件中合并水平，或看均值比较。",
        }
    return tuple(notes), None


def _freed(row: tuple) -> str:
    """What a step freed, as lavaan writes it."""
    if not isinstance(row.op, str):
        return ""
    return f"{row.lhs} ~ 1" if row.op == "~1" else f"{row.lhs} {row.op} {row.rhs}"


@theme.picture
def plot_ladder(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """The ladder: a rung a level, solid as far as invariance holds, with what it permits and how the fit changed."""
    from matplotlib import pyplot

    table, zh = result.table, language == "zh"
    if not len(table):
        return blank(result.text, language)
    figure, axes = pyplot.subplots(figsize=(8.5, 0.6 + 0.62 * len(table)))
    for place, row in enumerate(table.itertuples()):
        colour = theme.ROLES["perception"] if row.holds else theme.MUTED
        axes.plot(
            [0, 1],
            [place, place],
            color=colour,
            linewidth=9 if row.holds else 3,
            solid_capstyle="round",
            alpha=1 if row.holds else 0.5,
        )
        axes.annotate(
            LEVELS[row.level][zh],
            (0.5, place),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
        change = (
            f"CFI {number(row.cfi)}"
            if pd.isna(row.d_cfi)
            else f"ΔCFI {number(row.d_cfi)}, ΔRMSEA {number(row.d_rmsea)}"
        )
        test = p_text(row.pvalue if pd.isna(row.d_p) else row.d_p)
        axes.annotate(f"{change}, {test}", (1.04, place), va="center", fontsize=9)
    for side in (0, 1):
        axes.plot([side, side], [-0.35, len(table) - 0.65], color=theme.INK, linewidth=2, zorder=0)
    axes.set_yticks(
        range(len(table)), [("✓ " if row.holds else "× ") + row.level for row in table.itertuples()]
    )
    axes.set(xlim=(-0.02, 1.75), ylim=(-0.5, len(table) - 0.3), xticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    grouping = {lang: study.name(table["grouping"].iloc[0], lang) for lang in ("en", "zh")}
    return figure, {
        "en": f"The ladder of invariance by {grouping['en']}, n = {result.n_used:,}: thick rungs hold. {result.text['en']}",
        "zh": f"按{grouping['zh']}分组的不变性阶梯，n = {result.n_used:,}：粗横档表示成立。{result.text['zh']}",
    }


@theme.picture
def plot_means(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Latent means as effect sizes against the first group, with 95 % intervals."""
    from matplotlib import pyplot

    table = result.table
    if not len(table):
        return blank(result.text, language)
    codes, groups, column = (
        list(dict.fromkeys(table["construct"])),
        list(dict.fromkeys(table["group"])),
        table["grouping"].iloc[0],
    )
    names = {
        lang: [level_name(study, column, g, lang) for g in (*groups, table["reference"].iloc[0])]
        for lang in ("en", "zh")
    }
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + (0.25 + 0.16 * len(groups)) * len(codes)))
    at = table["group"].map(groups.index)
    forests.forest(
        axes,
        table.assign(
            est=table["d"],
            ci_low=table["d_low"],
            ci_high=table["d_high"],
            hollow=table["p_adjusted"] >= 0.05,
            place=table["construct"].map(codes.index)
            + (at - (len(groups) - 1) / 2) * 0.8 / len(groups),
            mark=[MARKERS[k] for k in at],
            colour=[theme.ROLES[study.role(code)] for code in table["construct"]],
        ),
        [study.name(code, language) for code in codes],
    )
    if len(groups) > 1:
        for at, name in enumerate(names[language][:-1]):
            axes.plot([], [], MARKERS[at], color=theme.INK, markersize=7, label=name)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    listed, other = names[language][:-1], names[language][-1]
    axes.set_xlabel(
        {
            "en": f"latent mean, {' · '.join(listed)} less {other}: effect size d (95% interval)",
            "zh": f"潜均值差（{' · '.join(listed)} 减 {other}）：效应量 d（95% 区间）",
        }[language]
    )
    return figure, {
        "en": f"Latent means of {', '.join(names['en'][:-1])} against {names['en'][-1]} (the zero line), n = {result.n_used:,}. A hollow "
        "point is not clear after Holm's correction.",
        "zh": f"{'、'.join(names['zh'][:-1])}相对{names['zh'][-1]}（零线）的潜均值，n = {result.n_used:,}。空心点经 Holm 校正后不明确。",
    }
