"""What drives an outcome: how much each of several correlated predictors contributes to what they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib.core import theme
from cxlib.core.absent import stage
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, Text, makes, nothing, together
from cxlib.core.words import Sentence, _, number
from cxlib.sem import parse, paths
from cxlib.statistics.importance import ranked_weights, relative_weights, resampled_weights
from cxlib.statistics.scores import scores
from cxlib.study.names import named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study.schema import Study

COLUMNS = "outcome predictor weight ci_low ci_high share rank"


@makes("drivers", COLUMNS, more="rank_1 rank_{k}")
def drivers(
    data: pd.DataFrame,
    study: Study,
    rng: np.random.Generator,
    n_boot: int = 2000,
    *,
    outcome: str = "",
    predictors: Sequence[str] = (),
    model: str = "main",
) -> Result:
    """Relative importance of what drives an outcome: Johnson's weights of construct scores (item means).

    Parameters
    ----------
    data, study :
        Cleaned responses, one row a respondent, and their study.
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
        rank_1 … rank_k: the share of bootstrap samples in which the predictor took that rank.  Empty, with the reason,
        if no outcome is named and the model has no path.

    Notes
    -----
    See :func:`cxlib.statistics.importance.relative_weights`.  Weights share out what observed scores explain; they are
    no causal effects, and measurement error makes them smaller.
    """
    causes = paths.predictors(parse(study.syntax(model)))
    if not (outcome or causes):
        return nothing(
            COLUMNS.split(),
            _("Model '{model}' has no path, so nothing drives anything in it.", model=model),
        )
    outcome = outcome or _most_driven(causes, study)
    frame = _frame(data, study, outcome, list(predictors) or causes.get(outcome, []), model)
    complete = _complete(frame)
    names = [name for name in frame if name != outcome]
    weight = relative_weights(complete[names], complete[outcome])
    drawn = resampled_weights(
        complete[names],
        complete[outcome],
        n_boot,
        rng,
        data.loc[complete.index, study.cluster] if study.cluster else None,
    )
    if not len(drawn):
        raise Impossible(
            _(
                "In no bootstrap sample of {n} respondents do all scores vary, so importance has no intervals. Ask more people.",
                n=len(complete),
            )
        )
    table = ranked_weights(weight, drawn)
    table.insert(0, "outcome", outcome)
    lost = _("{n} respondents with a missing score were left out.", n=len(frame) - len(complete))
    flat = _(
        "{lost} of {draws} bootstrap samples were left out, because a score did not vary in them or followed from the others.",
        lost=n_boot - len(drawn),
        draws=n_boot,
    )
    return Result(
        table,
        _most_important(table, study),
        len(complete),
        _(
            "Johnson's relative weights of item means; percentile intervals of {n:,} bootstrap samples",
            n=n_boot,
        ),
        together(
            lost if len(complete) < len(frame) else None, flat if len(drawn) < n_boot else None
        ),
    )


@stage
@theme.picture
def plot_drivers(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Bars of the relative weights with their intervals and the share of samples in which each ranks first."""
    from matplotlib import pyplot

    table = result.table
    if table.empty:
        return theme.blank(result.text, language)
    outcome = table["outcome"].iloc[0]
    figure, axes = pyplot.subplots(figsize=(7.5, 1.0 + 0.45 * len(table)))
    for place, row in enumerate(table.to_dict("records")):
        colour = (
            theme.ROLES[study.role(row["predictor"])]
            if row["predictor"] in study.constructs
            else theme.MUTED
        )
        axes.barh(place, row["weight"], color=colour, height=0.6)
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=theme.INK, linewidth=1.5)
        first = _(
            "{share}; first in {first}",
            share=f"{row['share'] * 100:.0f}%",
            first=f"{row['rank_1'] * 100:.0f}%",
        )[language]
        axes.annotate(
            first if len(table) > 1 else number(row["weight"], 2),
            (row["ci_high"], place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(table)), [study.name(name, language) for name in table["predictor"]])
    axes.invert_yaxis()
    axes.set_xlim(0, table["ci_high"].max() * 1.35)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(_("relative weight (part of R²)")[language])
    values = {"outcome": named(study, outcome), "n": result.n_used}
    if len(table) == 1:
        return figure, _(
            "What drives {outcome}: relative weights with 95% bootstrap intervals, n = {n:,}.",
            **values,
        )
    return figure, _(
        "What drives {outcome}: relative weights with 95% bootstrap intervals, n = {n:,}; beside each bar its share of the explained variance and how often it ranks first.",
        **values,
    )


def _most_driven(causes: Mapping[str, Sequence[str]], study: Study) -> str:
    """The satisfaction with most predictors, else the construct with most."""
    return max(
        causes,
        key=lambda code: (
            code in study.constructs and study.role(code) == "satisfaction",
            len(causes[code]),
        ),
    )


def _frame(
    data: pd.DataFrame, study: Study, outcome: str, names: Sequence[str], model: str
) -> pd.DataFrame:
    """Scores of the predictors and, last, of the outcome."""
    if outcome not in study.constructs and outcome not in data.columns:
        raise Impossible(
            _(
                "'{outcome}' is neither a construct nor a column. Constructs: {names}.",
                outcome=outcome,
                names=list(study.constructs),
            )
        )
    if not names:
        raise Impossible(
            _(
                "Model '{model}' has no path into '{outcome}'. Give predictors=[…], or another outcome.",
                model=model,
                outcome=outcome,
            )
        )
    means = scores(data, study.scales, study.parts, most_missing=0)
    return pd.DataFrame(
        {
            name: means[name] if name in means else data[name].astype(float)
            for name in (*names, outcome)
        }
    )


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with all scores, which are enough and vary."""
    complete = frame.dropna()
    if flat := [name for name in frame if complete[name].nunique() < 2]:
        raise Impossible(
            _(
                "The scores of {names} do not vary, so importance is not defined. Leave them out.",
                names=flat,
            )
        )
    if len(complete) <= frame.shape[1]:
        raise Impossible(
            _(
                "{n} respondents have all {scores} scores; importance needs more than {scores}. Ask more people, or give fewer predictors.",
                n=len(complete),
                scores=frame.shape[1],
            )
        )
    return complete


def _most_important(table: pd.DataFrame, study: Study) -> Sentence:
    """Which predictor comes first, and how surely."""
    top = table.iloc[0]
    values = {
        "best": named(study, top["predictor"]),
        "outcome": named(study, top["outcome"]),
        "r2": number(table["weight"].sum(), 2),
    }
    if len(table) == 1:
        return _(
            "{best} is the only driver of {outcome} in the model: there is nothing to rank (R² {r2}).",
            **values,
        )
    return _(
        "{best} matters most for {outcome}: {share} of the explained variance (R² {r2}), first in {first} of the bootstrap samples.",
        share=f"{top['share'] * 100:.0f}%",
        first=f"{top['rank_1'] * 100:.0f}%",
        **values,
    )
