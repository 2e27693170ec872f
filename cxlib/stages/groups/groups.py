"""Stage 08: is it the same scale in every group, and is it the same story?

A comparison of groups climbs: the same questions (configural), the same meaning (metric: paths may be compared), the
same zero (scalar: means may), the same precision (strict: sums may).  Groups too small for a model are compared by the
means of their answers, and the table says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.absent import reason
from cxlib.core.errors import Mistake
from cxlib.core.result import Result, Text, makes, nothing, together
from cxlib.core.words import Sentence, _, clauses, joined, listed, n_, number, p_text
from cxlib.diagram import forests
from cxlib.sem import invariance as steps
from cxlib.sem import permutation
from cxlib.stages.groups import answers as group_answers
from cxlib.stages.groups.answers import RUNGS
from cxlib.statistics.group_sizes import MOST, SMALLEST, UNBALANCED, group_sizes, needed
from cxlib.statistics.multiple_testing import holm
from cxlib.study.levels import level_name, level_of
from cxlib.study.names import named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem import Fit
    from cxlib.study.schema import Study

GROUP = "group_"
MARKERS = "osD^vPXh"
LEVELS = {
    "configural": _("same questions"),
    "thresholds": _("same thresholds between the answers"),
    "metric": _("same loadings: paths compare"),
    "metric_second": _("same second-order loadings"),
    "scalar": _("same intercepts: means compare"),
    "scalar_second": _("same first-order intercepts: second-order means compare"),
    "strict_second": _("same disturbances"),
    "strict": _("same residuals: sums compare"),
}
"""What is equal at each level, and what it permits."""
SIZES = ["grouping", "group", "n", "used", "compared_by"]
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


class UnknownGrouping(Mistake, ValueError):
    """The study has no such grouping column, or no such model to compare."""


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

    def name(self, level: str) -> Sentence:
        """The words for a group."""
        return level_name(self.study, self.column, level)

    @property
    def grouping(self) -> Sentence:
        """The words for the column."""
        return named(self.study, self.column)


@dataclass(frozen=True)
class Ladder:
    """The levels of invariance: fits of the whole ones, and of the partial search with what it freed."""

    compared: Comparison
    criterion: Literal["approximate", "chisq"] = "approximate"
    fits: dict[str, Fit] = field(default_factory=dict, repr=False)
    final: dict[str, Fit] = field(default_factory=dict, repr=False)
    freed: frozenset[steps.Place] = frozenset()
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
    UnknownGrouping
        `group` is not a grouping column of the study, or `model` not one of its models.
    """
    column = _column(study, group, model)
    if not column:
        return Comparison(
            study,
            "",
            model,
            data.iloc[:0],
            pd.DataFrame(columns=SIZES),
            why_not=_(
                "The study declares no grouping column (group: true), so there are no groups to compare."
            ),
        )
    frame = data[data[column].notna()].copy()
    frame[GROUP] = [level_of(value) for value in frame[column]]
    items = _items(study, model)
    answered = frame[items].notna()
    sizes = group_sizes(
        frame[GROUP],
        answered.all(axis=1) if missing == "listwise" else answered.any(axis=1),
        list(study.columns[column].levels) or sorted(frame[GROUP].unique()),
        needed(len(items)),
    )
    sizes.insert(0, "grouping", column)
    kept = sizes.loc[sizes["compared_by"] != "nothing", "group"]
    large = sizes.loc[sizes["compared_by"] == "model and means", "group"]
    made = Comparison(study, column, model, frame, sizes, tuple(kept), tuple(large))
    answers = _("complete answers") if missing == "listwise" else _("answers")
    why_not = _why_not(made, items, answers)
    return replace(
        made,
        large=made.large if why_not is None else (),
        why_not=why_not,
        notes=tuple(_accounts(made, len(data) - len(frame), items, answers)),
    )


def _column(study: Study, group: str, model: str) -> str:
    """The grouping column that was asked for, else the first one; empty if the study has none."""
    if model not in study.models:
        raise UnknownGrouping(
            _(
                "The study '{study}' has no model '{model}'. Its models: {models}.",
                study=study.id,
                model=model,
                models=list(study.models),
            )
        )
    if group and group not in study.groups:
        near = difflib.get_close_matches(group, study.groups, 1)
        raise UnknownGrouping(
            joined(
                _(
                    "'{group}' is not a grouping column of the study '{study}'.",
                    group=group,
                    study=study.id,
                ),
                _("Did you mean '{near}'?", near=near[0]) if near else "",
                _("Allowed: {names}.", names=list(study.groups))
                if study.groups
                else _("Allowed: none; mark one with group: true in the study file."),
            )
        )
    return group or next(iter(study.groups), "")


@makes("group_sizes", " ".join(SIZES))
def sizes(compared: Comparison) -> Result:
    """How large the groups are, and what each is compared by (grouping, group, n, used, compared_by).

    The rule: below 20 respondents a group is left out; a model needs 100 complete answers and three for each question;
    anything between is compared by the means of the answers.
    """
    table = compared.sizes
    if compared.why_not is not None and not len(table):
        return nothing(SIZES, compared.why_not)
    names = [
        joined(compared.name(row.group), str(row.n), between=" ") for row in table.itertuples()
    ]
    counted = (
        _(
            "{large} can be compared by a model, {all} by means.",
            large=len(compared.large),
            all=len(compared.groups),
        )
        if len(compared.groups) > 1
        else _("There are no two groups to compare.")
    )
    return Result(
        table,
        joined(
            _("Groups by {grouping}: {groups}.", grouping=compared.grouping, groups=names), counted
        ),
        int(table["n"].sum()),
        _("group sizes"),
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
    if estimator == "WLSMV":
        compared, merged, why_not = _merged(compared, missing, merge_answers)
        if why_not is not None:
            return Ladder(compared, criterion, why_not=why_not)
        notes += merged
    frame = numbered(compared)
    model = sem.parse(compared.study.measurement(compared.model), means=True)
    settings: dict[str, Any] = {
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
        why_not = _("The model cannot be fitted in every group: {error}", error=reason(error))
        return Ladder(compared, criterion, why_not=why_not)
    permuted = None
    if n_permutations and estimator == "WLSMV":
        notes.append(_("There is no permutation test with WLSMV."))
    elif n_permutations and missing != "listwise":
        notes.append(_("There is no permutation test of incomplete rows."))
    elif n_permutations:
        permuted = permutation.permutation(
            frame,
            fits,
            GROUP,
            n_permutations,
            cast(
                "np.random.Generator", rng
            ),  # draws need one; only without them may it be left out
            compared.study.cluster or None,
        )
        if (lost := n_permutations - int(permuted.p["permutations"].min())) > 0:
            notes.append(
                _(
                    "{lost} of {all:,} random groupings had no optimum and were left out.",
                    lost=lost,
                    all=n_permutations,
                )
            )
    return Ladder(
        compared, criterion, fits, final, frozenset(freed), table, permuted, notes=tuple(notes)
    )


def _merged(
    compared: Comparison, missing: str, merge_answers: bool
) -> tuple[Comparison, list[Text], Text | None]:
    """Every group with every answer, as WLSMV needs it: what was merged for it, or why it cannot be."""
    parts = group_answers.by_group(
        compared.data, _items(compared.study, compared.model), GROUP, compared.large, missing
    )
    gap = group_answers.gaps(parts, compared.name)
    if gap is None:
        return compared, [], None
    if not merge_answers:
        remedy = _(
            "Thresholds of a group without that answer do not exist. With merge_answers = True it is merged with its neighbour in "
            'all groups; or choose another grouping, or estimator = "MLR", which takes answers as numbers.'
        )
        return compared, [], joined(gap, remedy)
    data, note = group_answers.merged(compared.data, parts)
    return replace(compared, data=data), [note], None


@makes(
    "invariance",
    " ".join(INVARIANCE),
    more="pvalue d_srmr n npar chisq_scaled cfi_robust rmsea_robust permutations p_permutation p_permutation_cfi",
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
    fit = next(iter(ladder.fits.values()))
    doubtful = [
        _("{level}: {warning}", level=RUNGS[level], warning=warning)
        for level, one in ladder.fits.items()
        for warning in one.warnings
        if not one.trustworthy
    ]
    unsaid: list[Text] = [
        _("The changes of configural, the first level, are empty: there is no level below it.")
    ]
    if fit.estimator == "WLSMV":
        unsaid += group_answers.unsaid(table)
    elif untested := table.loc[table["d_p"].isna(), "level"].tolist()[1:]:
        unsaid.append(
            _(
                "No Δχ² test of {levels}: these solutions do not determine its scaling.",
                levels=[RUNGS[level] for level in untested],
            )
        )
    return Result(
        table,
        _reached(reached[-1] if reached else "", ladder.criterion),
        fit.n_used,
        fit.method,
        together(*ladder.notes, *fit.warnings, *doubtful, *unsaid),
    )


def _reached(last: str, criterion: str) -> Text:
    """How far invariance holds, by which rule."""
    if not last:
        return _(
            "Not even the configural model fits (CFI ≥ .90, SRMR ≤ .08): the groups do not share one measurement model."
        )
    rule = (
        _("ΔCFI ≥ −.010 and ΔRMSEA ≤ .015")
        if criterion == "approximate"
        else _("Δχ² not significant")
    )
    return _(
        "Invariance holds up to {level}: {meaning} ({rule}).",
        level=RUNGS[last],
        meaning=LEVELS[last],
        rule=rule,
    )


@makes("partial_invariance", " ".join(PARTIAL))
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
    freed = [
        _(
            "{freed} ({group}, {change})",
            freed=row.freed,
            group=compared.name(row.group),
            change=number(row.epc, 2),
        )
        for row in done.itertuples()
    ]
    end, fit = _ended(table.iloc[-1]), next(iter(ladder.fits.values()))
    first = _(
        "Step 0 of a level frees nothing and has no score test; configural has no level below to be compared with."
    )
    return Result(
        table[PARTIAL],
        _("Freed one at a time: {freed}; {end}.", freed=clauses(freed), end=end)
        if freed
        else _("Nothing was freed: {end}.", end=end),
        fit.n_used,
        _("WLSMV: no search") if fit.estimator == "WLSMV" else _("score tests, Bonferroni"),
        (first,),
    )


def _ended(last: pd.Series) -> Text:
    """Why the search went no further."""
    level = RUNGS[last["level"]]
    return {
        "holds": _("every level then holds"),
        "does not hold": _("the configural model does not fit"),
        "no anchors left": _(
            "{level} does not hold, and freeing more would leave a construct without two equal indicators",
            level=level,
        ),
        "not searched": _(
            "{level} does not hold, and with WLSMV no single equality is tested", level=level
        ),
        "no significant score test": _(
            "{level} does not hold, but no single equality is to blame", level=level
        ),
    }[last["outcome"]]


@makes("latent_means", " ".join(MEANS))
def latent_means(ladder: Ladder) -> Result:
    """Latent means less those of the first group, as estimates and as effect sizes d, with 95 % intervals.

    From the scalar level, with what the search freed; p_adjusted is Holm's over all rows.

    Notes
    -----
    See :func:`cxlib.sem.invariance.latent_means`.
    """
    compared = ladder.compared
    level = next((name for name in ("scalar_second", "scalar") if name in ladder.final), "")
    why_not = ladder.why_not
    if why_not is None and not level:
        why_not = _(
            "The {level} level does not hold, even in part, so the means of the constructs do not compare.",
            level=RUNGS[next(reversed(ladder.final))],
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
    doubt = _(
        "The {level} level does not hold: a difference of means may be one of how questions are answered.",
        level=RUNGS[level],
    )
    largest = _(
        "The largest: {construct}, {group} against {reference}, {size}.",
        construct=compared.study.constructs[top["construct"]].name,
        group=compared.name(top["group"]),
        reference=compared.name(names[0]),
        size=f"d = {number(top['d'], 2)} [{number(top['d_low'], 2)}, {number(top['d_high'], 2)}]",
    )
    return Result(
        table[MEANS],
        joined(
            n_(
                "{sure} of {n:,} difference of latent means is clear after Holm's correction.",
                "{sure} of {n:,} differences of latent means are clear after Holm's correction.",
                len(table),
                sure=len(sure),
            ),
            largest,
        ),
        fit.n_used,
        _("latent means, first group 0; d by the pooled latent variance; delta method"),
        (*fit.warnings, *(() if ladder.held(level) else (doubt,))),
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
            _(
                'WLSMV has no missing = "{missing}"; pairs of answers are used instead (pairwise).',
                missing=missing,
            )
        ]
    if missing == "mi":
        return "fiml", [
            _(
                "Imputed data sets are not compared between groups; every answer given is used instead (fiml)."
            )
        ]
    return missing, []


def _accounts(
    compared: Comparison, unknown: int, items: Sequence[str], answers: Sentence
) -> Iterator[Text]:
    """What was left out and what to beware of; `answers` is what a model counts."""
    table = compared.sizes
    if unknown:
        yield n_(
            "{n:,} respondent did not say their '{grouping}' and belong to no group.",
            "{n:,} respondents did not say their '{grouping}' and belong to no group.",
            unknown,
            grouping=compared.grouping,
        )
    for row in table[table["compared_by"] == "nothing"].itertuples():
        yield _(
            "Group '{group}' has {n} respondents, fewer than {least}: it is left out.",
            group=compared.name(row.group),
            n=row.n,
            least=SMALLEST,
        )
    for row in table[table["compared_by"] == "means"].itertuples():
        yield _(
            "Group '{group}' has {used} {answers}; a model of {items} questions needs {needed}. It is compared by the means of its "
            "answers only.",
            group=compared.name(row.group),
            used=row.used,
            answers=answers,
            items=len(items),
            needed=needed(len(items)),
        )
    used = table[table["compared_by"] == "model and means"]
    if len(used) > 1 and used["used"].max() > UNBALANCED * used["used"].min():
        big, small = used.loc[used["used"].idxmax()], used.loc[used["used"].idxmin()]
        yield _(
            "Group '{large}' is {times:.1f} times as large as '{small}': misfit of the small one hardly shows in the fit of both.",
            large=compared.name(big["group"]),
            times=big["used"] / small["used"],
            small=compared.name(small["group"]),
        )
    if gap := group_answers.gaps(
        group_answers.by_group(compared.data, items, GROUP, used["group"], "pairwise"),
        compared.name,
    ):
        yield joined(
            gap,
            _(
                "Nothing is lost where answers are taken as numbers; thresholds could not be compared."
            ),
        )


def _why_not(compared: Comparison, items: Sequence[str], answers: Sentence) -> Text | None:
    """Why no model can be compared, None if one can."""
    table, grouping = compared.sizes, compared.grouping
    used = int((table["compared_by"] == "model and means").sum())
    if len(table) < 2:
        return _(
            "'{grouping}' has one level in these data ({level}), so there is nothing to compare.",
            grouping=grouping,
            level=compared.name(table["group"].iloc[0]) if len(table) else _("no value"),
        )
    if used < 2:
        return _(
            "Fewer than two groups of '{grouping}' are large enough for a model ({needed} {answers}); see the comparison of means.",
            grouping=grouping,
            needed=needed(len(items)),
            answers=answers,
        )
    if used > MOST:
        return _(
            "'{grouping}' has {groups} groups; a ladder of more than {most} cannot be read. Merge levels in the study file, or see the "
            "comparison of means.",
            grouping=grouping,
            groups=used,
            most=MOST,
        )
    return None


def _freed(row: Any) -> str:
    """What a step freed, as lavaan writes it."""
    if not isinstance(row.op, str):
        return ""
    return f"{row.lhs} ~ 1" if row.op == "~1" else f"{row.lhs} {row.op} {row.rhs}"


@theme.picture
def plot_ladder(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """The ladder: a rung a level, solid as far as invariance holds, with what it permits and how the fit changed."""
    from matplotlib import pyplot

    table = result.table
    if not len(table):
        return theme.blank(result.text, language)
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
            LEVELS[row.level][language],
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
        range(len(table)),
        [("✓ " if row.holds else "× ") + RUNGS[row.level][language] for row in table.itertuples()],
    )
    axes.set(xlim=(-0.02, 1.75), ylim=(-0.5, len(table) - 0.3), xticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    return figure, joined(
        _(
            "The ladder of invariance by {grouping}, n = {n:,}: thick rungs hold.",
            grouping=named(study, table["grouping"].iloc[0]),
            n=result.n_used,
        ),
        result.text,
    )


@theme.picture
def plot_means(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Latent means as effect sizes against the first group, with 95 % intervals."""
    from matplotlib import pyplot

    table = result.table
    if not len(table):
        return theme.blank(result.text, language)
    codes, groups, column = (
        list(dict.fromkeys(table["construct"])),
        list(dict.fromkeys(table["group"])),
        table["grouping"].iloc[0],
    )
    names = [level_name(study, column, group) for group in groups]
    reference = level_name(study, column, table["reference"].iloc[0])
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
        [study.constructs[code].name[language] for code in codes],
    )
    if len(groups) > 1:
        for mark, name in zip(MARKERS, names, strict=False):
            axes.plot([], [], mark, color=theme.INK, markersize=7, label=name[language])
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    label = _(
        "latent mean, {groups} less {reference}: effect size d (95% interval)",
        groups=joined(*names, between=" · "),
        reference=reference,
    )
    axes.set_xlabel(label[language])
    return figure, _(
        "Latent means of {groups} against {reference} (the zero line), n = {n:,}. A hollow point is not clear after Holm's correction.",
        groups=listed(names),
        reference=reference,
        n=result.n_used,
    )
