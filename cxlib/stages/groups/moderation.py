"""Stage 08, what was measured as it is: group means, and whether an effect depends on something else.

Construct scores are means of answers, so measurement error makes differences and interactions smaller than they are.
Interactions are declared in the study file as hypotheses of kind ``interaction``: ``of: "sat100 ~ er100 * ce100"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.errors import Impossible, ModelError
from cxlib.core.result import Result, Text, makes, nothing, together
from cxlib.core.words import Sentence, _, c_, clauses, listed, n_, number, p_text
from cxlib.stages.groups.groups import GROUP, SMALLEST, Comparison
from cxlib.statistics.group_means import means, pairs, welch
from cxlib.statistics.moderated_regression import Interaction, interaction
from cxlib.statistics.multiple_testing import holm
from cxlib.statistics.scores import scores
from cxlib.study.conditions import where
from cxlib.study.levels import level_name, level_of
from cxlib.study.names import named_score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

GROUP_MEANS = ["grouping", "construct", "group", "n", "mean", "sd", "ci_low", "ci_high"]
MEAN_TESTS = [
    "grouping",
    "construct",
    "group_a",
    "group_b",
    "difference",
    "se",
    "t",
    "df",
    "p",
    "p_adjusted",
    "hedges_g",
    "g_low",
    "g_high",
    "n",
]
MODERATION = [
    "id",
    "outcome",
    "driver",
    "moderator",
    "est",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "p_adjusted",
    "std",
    "d_r2",
    "df",
    "n",
    "test",
    "notebook",
    "note",
]
SLOPES = [
    "outcome",
    "driver",
    "moderator",
    "at",
    "slope",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "y_low",
    "y_high",
    "n",
]
DIFFERENCES = ["id", "outcome", "by", "f", "df", "df_error", "p", "n", "test", "notebook", "note"]
OF_PRODUCT = ("est", "se", "ci_low", "ci_high", "p", "std", "d_r2", "df", "n")
FEW = _("Fewer than two groups are large enough for means.")
FORMULA = re.compile(r"\s*(\w+)\s*~\s*(\w+)\s*[*]\s*(\w+)\s*")


@makes("group_means", " ".join(GROUP_MEANS))
def group_means(compared: Comparison) -> Result:
    """Mean score of every construct in every group, on the scale of its items (grouping, construct, group, n, mean, sd, ci).

    Composites, so errors of measurement and different ways of answering are in them; :func:`latent_means` is without.

    Notes
    -----
    R: ``t.test(x)$conf.int`` for every group.
    """
    if len(compared.groups) < 2:
        return nothing(GROUP_MEANS, compared.why_not or FEW)
    found = _scores(compared)
    table = means(found, GROUP).assign(grouping=compared.column)[GROUP_MEANS]
    known, thin = table.dropna(), table[table["sd"].isna()]
    single = [f"{row.construct} ({row.group}: {row.n})" for row in thin.itertuples()]
    if known.empty:
        why = _(
            "Fewer than two scores in every group, so there are no means with an interval: {scores}.",
            scores=single,
        )
        return nothing(GROUP_MEANS, why)
    code = known.groupby("construct", sort=False)["mean"].agg(np.ptp).idxmax()
    own = known[known["construct"] == code].sort_values("mean")
    lonely = _("Fewer than two scores, hence no interval: {scores}.", scores=single)
    return Result(
        table,
        _(
            "The groups lie furthest apart on {construct}: {high} {gap} points above {low}.",
            construct=compared.study.constructs[code].name,
            high=compared.name(own["group"].iloc[-1]),
            gap=number(np.ptp(own["mean"]), 2),
            low=compared.name(own["group"].iloc[0]),
        ),
        len(found),
        _("means of construct scores, t intervals"),
        (*_independent(compared.study), *([lonely] if single else [])),
    )


def _independent(study: Study) -> list[Text]:
    """What means and their tests take for granted, if the study has clusters."""
    if not study.cluster:
        return []
    return [
        _(
            "Means and their tests take respondents of one {cluster} as independent: intervals are too narrow, the more "
            "so for a column that is the same for a whole cluster.",
            cluster=study.cluster,
        )
    ]


@makes("mean_tests", " ".join(MEAN_TESTS))
def mean_tests(compared: Comparison) -> Result:
    """Every pair of groups on every construct: Welch's t, or Games and Howell's test if there are more than two groups.

    difference is the first less the second; p is Games–Howell's (of two groups Welch's), p_adjusted Holm's over the
    constructs; hedges_g with its 95 % interval.

    Notes
    -----
    Games & Howell (1976), doi:10.3102/10769986001002113; Hedges (1981), doi:10.3102/10769986006002107.
    R: ``t.test(x ~ g)``, ``rstatix::games_howell_test``, ``effectsize::hedges_g`` (its interval is noncentral).
    """
    if len(compared.groups) < 2:
        return nothing(MEAN_TESTS, compared.why_not or FEW)
    own = _scores(compared)
    table, flat = pairs(own, GROUP)
    table = table.assign(grouping=compared.column, p_adjusted=holm(table["p"]))[MEAN_TESTS]
    same = _("{scores}: a group gave one answer throughout, so there is no test.", scores=flat)
    return Result(
        table,
        n_(
            "{sure} of {n:,} difference of means is clear after Holm's correction.",
            "{sure} of {n:,} differences of means are clear after Holm's correction.",
            len(table),
            sure=int((table["p_adjusted"] < 0.05).sum()),
        ),
        len(own),
        _("Games–Howell, Hedges' g") if len(compared.groups) > 2 else _("Welch's t, Hedges' g"),
        (*_independent(compared.study), *([same] if flat else [])),
    )


@makes("moderation", " ".join(MODERATION))
def moderation(data: pd.DataFrame, study: Study, formulas: str = "") -> Result:
    """Test every declared interaction: does the effect of a driver depend on a moderator?

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
        Its hypotheses of kind "interaction" are tested.
    formulas : str
        Further ones, separated by ";": "sat100 ~ pc100 * age".

    Returns
    -------
    Result
        id, outcome, driver, moderator, est with interval and p (of the product term; empty for a moderator of more than two
        levels, which has several: then p is of the joint F test), p_adjusted (Holm's), std, d_r2 (what the interaction adds to R²).

    Raises
    ------
    ModelError
        A formula cannot be read, or names something the study does not have.
    Impossible
        Fewer than two levels of a moderator are large enough.

    Notes
    -----
    Least squares with driver and numeric moderator centred at their means; standard errors robust to clusters (CR1) if the
    study has them, else HC3 (MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7).
    R: ``lm(y ~ x * w)`` with ``sandwich::vcovCL`` or ``vcovHC``.
    """
    tested = list(_tested(data, study, formulas))
    if not tested:
        return nothing(
            MODERATION,
            _(
                "The study declares no interaction (a hypothesis of kind 'interaction'), so no moderation is tested."
            ),
        )
    table = pd.DataFrame([found.row() for found in tested]).assign(notebook="08_groups", note="")
    table = table.assign(p_adjusted=holm(table["p"])).reindex(columns=MODERATION)
    notes = [note for found in tested for note in found.notes]
    if table["est"].isna().any():
        notes.append(
            _(
                "A moderator of more than two levels has several product terms: est is empty, p is of all of them."
            )
        )
    return Result(
        table,
        _clear(table, study),
        int(table["n"].max()),
        _("least squares with product terms, cluster-robust (CR1) standard errors")
        if study.cluster
        else _("least squares with product terms, HC3 standard errors"),
        together(*notes),
    )


def _clear(table: pd.DataFrame, study: Study) -> Text:
    """How many interactions there are, and which."""
    sure = table[table["p_adjusted"] < 0.05]
    names = clauses(
        _(
            "{driver} × {moderator} ({p})",
            driver=named_score(study, row.driver),
            moderator=named_score(study, row.moderator),
            p=p_text(row.p_adjusted),
        )
        for row in sure.itertuples()
    )
    stated = {
        "sure": len(sure),
        "interactions": n_("{n:,} interaction", "{n:,} interactions", len(table)),
        "which": _(": {names}", names=names) if len(sure) else "",
    }
    if 1 in (len(sure), len(table)):
        return _("{sure} of {interactions} is clear after Holm's correction{which}.", **stated)
    return _("{sure} of {interactions} are clear after Holm's correction{which}.", **stated)


@makes("simple_slopes", " ".join(SLOPES))
def simple_slopes(data: pd.DataFrame, study: Study, formulas: str = "") -> Result:
    """The slope of each driver where its moderator is low, average and high (mean ± 1 SD), or at each of its levels.

    y_low and y_high: what the model expects of the outcome where the driver is 1 SD below and above its mean.

    Notes
    -----
    Aiken & West (1991), Multiple Regression: Testing and Interpreting Interactions.
    """
    found = [one.slopes() for one in _tested(data, study, formulas)]
    table = pd.concat([pd.DataFrame(columns=SLOPES), *found], ignore_index=True)
    if not len(table):
        return nothing(SLOPES, _("No interaction is declared, so there are no simple slopes."))
    panels = dict(list(table.groupby(["outcome", "driver", "moderator"], sort=False)))
    outcome, driver, moderator = max(
        panels, key=lambda key: np.ptp(panels[key]["slope"]) / abs(panels[key]["slope"].mean())
    )
    own = panels[outcome, driver, moderator].sort_values("slope")
    low, high = own.iloc[0], own.iloc[-1]
    text = _(
        "The slope of {driver} on {outcome} runs from {least} ({moderator}: {low}) to {most} ({high}).",
        driver=named_score(study, driver),
        outcome=named_score(study, outcome),
        moderator=named_score(study, moderator),
        least=number(low["slope"], 2),
        low=_at(study, moderator, low["at"]),
        most=number(high["slope"], 2),
        high=_at(study, moderator, high["at"]),
    )
    return Result(table, text, int(table["n"].max()), _("simple slopes"))


@theme.picture
def plot_slopes(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """One panel an interaction: the expected outcome over the driver, a line for each value of the moderator."""
    from matplotlib import pyplot

    if not len(result.table):
        return theme.blank(result.text, language)
    panels = list(result.table.groupby(["outcome", "driver", "moderator"], sort=False))
    across = min(len(panels), 2)
    down = -(-len(panels) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(5.2 * across, 3.6 * down), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    ticks = ["−1 SD", c_("value of a moderator", "mean")[language], "+1 SD"]
    for axis, ((outcome, driver, moderator), lines) in zip(axes.flat, panels, strict=False):
        rows = lines.sort_values("y_high")
        low, high = (
            rows[["y_low", "y_high"]].min(axis=None),
            rows[["y_low", "y_high"]].max(axis=None),
        )
        for row, y in zip(
            rows.itertuples(), theme.apart(rows["y_high"], 0.07 * (high - low), high), strict=True
        ):
            axis.plot(
                [-1, 1],
                [row.y_low, row.y_high],
                color=theme.ROLES["service"],
                linewidth=1.8,
                alpha=0.8,
            )
            axis.plot([1, 1.2], [row.y_high, y], color=theme.MUTED, linewidth=0.6)
            axis.annotate(
                f"{_at(study, moderator, row.at)[language]}: {number(row.slope, 2)}",
                (1.25, y),
                va="center",
                fontsize=8,
            )
        axis.set(
            xlim=(-1.1, 2.3),
            xlabel=named_score(study, driver)[language],
            ylabel=named_score(study, outcome)[language],
        )
        axis.set_xticks([-1, 0, 1], ticks)
        axis.set_title(named_score(study, moderator)[language], fontsize=10)
    return figure, _(
        "What the model expects of the outcome as the driver grows, a line for each value of the moderator (the title) with its "
        "slope; n up to {n:,}. Parallel lines: no moderation.",
        n=result.n_used,
    )


def differences(data: pd.DataFrame, study: Study) -> Result:
    """Hypotheses that a score differs between the levels of a column (of kind "differences"): Welch's analysis of variance.

    Notes
    -----
    Welch (1951), doi:10.1093/biomet/38.3-4.330.  R: ``oneway.test(y ~ g)``.
    """
    rows = []
    for code, hypothesis in study.hypotheses.items():
        if hypothesis.kind == "differences":
            outcome, column = (part.strip() for part in hypothesis.of.split(" by "))
            frame = _within(data, hypothesis.where)
            own = pd.DataFrame({"y": variable(frame, study, outcome), "g": frame[column]}).dropna()
            found = welch(own, "y", "g")
            test = f"Welch's F({found.df:.0f}, {found.df_error:.0f}) = {found.f:.2f}"
            rows.append([code, outcome, column, *found, len(own), test, "08_groups", ""])
    table = pd.DataFrame(rows, columns=DIFFERENCES)
    return Result(
        table,
        n_(
            "{n:,} hypothesis about differences between the levels of a column.",
            "{n:,} hypotheses about differences between the levels of a column.",
            len(table),
        ),
        int(table["n"].max()) if len(table) else 0,
        _("Welch's F"),
    )


def variable(data: pd.DataFrame, study: Study, name: str) -> pd.Series:
    """A score (0–100, as the study declares it), a construct's mean, or a column as it is.

    Raises
    ------
    ModelError
        The study has none of this name.
    """
    if name not in (*study.scores, *study.constructs, *data):
        raise ModelError(
            _(
                "'{name}' is not a score, construct or column of the study '{study}'. Scores: {scores}; constructs: {constructs}; "
                "columns: {columns}.",
                name=name,
                study=study.id,
                scores=list(study.scores) or _("none"),
                constructs=list(study.constructs),
                columns=list(study.columns),
            )
        )
    if name not in study.scores and name not in study.constructs:
        return data[name]
    own, parts = scores(data, study.scales, study.parts), []
    if name not in study.scores:
        return own[name]
    for code in study.scores[name]:
        low, high = study.scale_of(
            code if code in study.items else next(iter(study.constructs[code].items))
        )
        parts.append(100 * ((own[code] if code in own else data[code]) - low) / (high - low))
    return pd.concat(parts, axis=1).mean(axis=1, skipna=False)


class _Tested(NamedTuple):
    """An interaction of the study with its test, and what to beware of."""

    code: str
    outcome: str
    driver: str
    moderator: str
    found: Interaction
    notes: list[Text]

    def row(self) -> dict[str, Any]:
        """Its row in the table of interactions."""
        found = self.found
        return {
            "id": self.code,
            "outcome": self.outcome,
            "driver": self.driver,
            "moderator": self.moderator,
            "test": f"interaction, F({found.df}, {found.df_error:.0f}) = {found.f:.2f}",
            **{name: getattr(found, name) for name in OF_PRODUCT},
        }

    def slopes(self) -> pd.DataFrame:
        """Its rows in the table of slopes."""
        names = {"outcome": self.outcome, "driver": self.driver, "moderator": self.moderator}
        return self.found.slopes.assign(**names, n=self.found.n)[SLOPES]


def _tested(data: pd.DataFrame, study: Study, formulas: str) -> Iterator[_Tested]:
    """Every interaction the study declares, then those asked for."""
    declared = [
        (code, h.of, h.where) for code, h in study.hypotheses.items() if h.kind == "interaction"
    ]
    for code, words, condition in declared + [
        ("", words, "") for words in formulas.split(";") if words.strip()
    ]:
        yield _test(_within(data, condition), study, code, words.strip())


def _within(data: pd.DataFrame, condition: str) -> pd.DataFrame:
    return data[where(data, condition)] if condition else data


def _test(data: pd.DataFrame, study: Study, code: str, words: str) -> _Tested:
    """Read "y ~ x * w" and fit it."""
    if not (read := FORMULA.fullmatch(words)):
        raise ModelError(
            _(
                "The interaction '{words}' cannot be read. Write 'outcome ~ driver * moderator'.",
                words=words,
            )
        )
    outcome, driver, moderator = read.groups()
    frame = pd.DataFrame(
        {role: variable(data, study, name) for role, name in zip("yxw", read.groups(), strict=True)}
    )
    numeric = pd.api.types.is_numeric_dtype
    if not numeric(frame["x"]) and numeric(frame["w"]):
        frame, driver, moderator = frame.rename(columns={"x": "w", "w": "x"}), moderator, driver
    if not (numeric(frame["y"]) and numeric(frame["x"])):
        raise ModelError(
            _(
                "The interaction '{words}' needs an outcome and a driver that are numbers. Only the moderator may be a category.",
                words=words,
            )
        )
    if study.cluster:
        frame["cluster"] = data[study.cluster]
    frame, levels, notes = _levels(frame.dropna(), study, moderator, words)
    return _Tested(code, outcome, driver, moderator, interaction(frame, levels), notes)


def _levels(
    frame: pd.DataFrame, study: Study, moderator: str, words: str
) -> tuple[pd.DataFrame, list[str], list[Text]]:
    """The rows whose level of the moderator is large enough, these levels (none of a number), and what was left out."""
    declared = study.columns.get(moderator)
    category = declared is not None and declared.kind in ("category", "flag")
    if not category and pd.api.types.is_numeric_dtype(frame["w"]):
        return frame, [], []
    frame = frame.assign(w=frame["w"].map(level_of))
    count, notes = frame["w"].value_counts(), list[Text]()
    if few := sorted(count.index[count < SMALLEST]):
        notes.append(
            _(
                "{words}: {levels} have fewer than {least} respondents and were left out.",
                words=words,
                levels=few,
                least=SMALLEST,
            )
        )
    frame = frame[~frame["w"].isin(few)]
    known = list(declared.levels) if declared else []
    levels = sorted(
        set(frame["w"]),
        key=lambda level: (known.index(level) if level in known else len(known), level),
    )
    if len(levels) < 2:
        raise Impossible(
            _(
                "The moderator '{moderator}' of '{words}' has fewer than two levels with {least} respondents.",
                moderator=moderator,
                words=words,
                least=SMALLEST,
            )
        )
    return frame, levels, notes


def _at(study: Study, moderator: str, value: str) -> Sentence:
    """The words for a value of a moderator."""
    if moderator in study.columns:
        return level_name(study, moderator, value)
    return listed([c_("value of a moderator", "mean") if value == "mean" else value])


def _scores(compared: Comparison) -> pd.DataFrame:
    """Construct scores of the rows whose group is large enough for means, and the group, in the declared order."""
    rows = compared.data[compared.data[GROUP].isin(compared.groups)]
    level = pd.Categorical(rows[GROUP], compared.groups)
    study = compared.study
    own = scores(rows, study.scales, study.parts)
    return own[study.model_constructs(compared.model)].assign(**{GROUP: level})
