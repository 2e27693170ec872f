"""Cleaning, with every row that leaves counted and every rule declared: the flow, the indices, and what to look at.

:mod:`cxlib.responses.cleaning` applies the rules; here is what they did, in words and in a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxlib.core import theme
from cxlib.core.result import Result, Text, makes
from cxlib.core.words import Sentence, _, n_
from cxlib.responses.cleaning import STEPS, Screened, recode, screen
from cxlib.responses.items import against_their_construct, check_items
from cxlib.responses.reading import Reading
from cxlib.stages.cleaning import missing
from cxlib.stages.cleaning.planted import against_key
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Cleaned", "against_key", "clean", "plot_flow", "recode"]


@dataclass(frozen=True)
class Cleaned:
    """The analysis frame and how it came about.

    data : kept rows; reverse items recoded, item codes unchanged; the column `respondent` is the respondent's id (the
        row of the file where the study declares none)
    flow : Result with step, removed, remaining
    screening : Result with respondent, kept, reasons and one column an index, for every row received
    missing : Result with item, construct, n, missing, share, for the rows kept
    recoded : the reverse items, now pointing the way of their construct
    """

    data: pd.DataFrame
    flow: Result
    screening: Result
    missing: Result
    recoded: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[Text, ...]:
        """What all steps had to say."""
        return (*self.flow.warnings, *self.screening.warnings, *self.missing.warnings)


@makes("cleaning_flow", "step removed remaining")
@makes(
    "screening",
    "respondent kept reasons missing irv even_odd mahalanobis mahalanobis_p",
    more="duration attention longstring",
)
def clean(raw: Reading | pd.DataFrame, study: Study) -> Cleaned:
    """Screen the responses by the rules the study declares, and recode its reverse items.

    Parameters
    ----------
    raw : Reading or DataFrame
        What :func:`cxlib.responses.reading.read` returned: typed, not yet recoded.

    Returns
    -------
    Cleaned

    Raises
    ------
    DataError
        The responses were recoded before; a condition of the study cannot be evaluated; no row is left.

    Notes
    -----
    Rules, each only where declared: `duplicates` — the same values in all these columns as an earlier row; `attention`
    — an answer other than the asked one (Meade & Craig 2012, doi:10.1037/a0028085); `duration` — below `min_duration`,
    by default a third of the median (Huang et al. 2012, doi:10.1007/s10869-011-9231-8, for response time as an
    index); `order` — the same option for at least half of the questions in a row, and at least 10 (Curran 2016,
    doi:10.1016/j.jesp.2015.07.006); `contradictions` — conditions no honest row meets.
    """
    found = screen(raw.frame if isinstance(raw, Reading) else raw, study)
    notes = (
        *(raw.notes if isinstance(raw, Reading) else ()),
        *_unasked(found, study),
        *check_items(found.data, study),
        *against_their_construct(found.data, study),
    )
    return Cleaned(
        found.data,
        _flow(found.steps, notes),
        _screening(found.indices),
        missing.by_item(found.data, study),
        tuple(study.reversed),
    )


def _unasked(found: Screened, study: Study) -> tuple[Text, ...]:
    """Answers to questions that did not apply, and constructs that were asked of some."""
    notes: list[Text] = []
    if found.strays:
        notes.append(
            _(
                "Answers to questions that did not apply became missing: {questions}.",
                questions=[f"{name} ({n})" for name, n in found.strays.items()],
            )
        )
    notes += [
        _(
            "{construct} was asked of {asked:,} of {rows:,} respondents ({condition}): whatever uses it rests on them, and what the "
            "others did not answer is not a refusal.",
            construct=code,
            asked=asked,
            rows=len(found.data),
            condition=study.constructs[code].only_if,
        )
        for code, asked in found.asked.items()
    ]
    return tuple(notes)


def _flow(steps: pd.DataFrame, notes: tuple[Text, ...]) -> Result:
    received, kept = int(steps["remaining"].iloc[0]), int(steps["remaining"].iloc[-1])
    text = _(
        "The study declares no screening rule: all {received:,} rows received are analysed.",
        received=received,
    )
    if len(steps) > 1:
        met = [
            _("{step} {n}", step=STEPS[row.step], n=row.removed)
            for row in steps.iloc[1:].itertuples()
            if row.removed
        ]
        text = _(
            "Of {received:,} rows received, {removed:,} were removed ({steps}); {kept:,} ({share:.1f} %) are analysed.",
            received=received,
            removed=received - kept,
            steps=met or _("none met a rule"),
            kept=kept,
            share=100 * kept / received,
        )
    return Result(steps, text, kept, _("declared screening rules, in order"), notes)


def _screening(indices: pd.DataFrame) -> Result:
    """The indices of every row received; only the declared ones removed somebody."""
    gone = {name: int(indices[name].isna().sum()) for name in ("mahalanobis", "even_odd", "irv")}
    told = {
        "mahalanobis": n_(
            "The Mahalanobis distance could not be computed for {n:,} row: fewer rows than items, or items that determine each other.",
            "The Mahalanobis distance could not be computed for {n:,} rows: fewer rows than items, or items that determine each other.",
            gone["mahalanobis"],
        ),
        "even_odd": n_(
            "The even-odd consistency could not be computed for {n:,} row: fewer than three scales answered, or the same mean in all "
            "of them.",
            "The even-odd consistency could not be computed for {n:,} rows: fewer than three scales answered, or the same mean in all "
            "of them.",
            gone["even_odd"],
        ),
        "irv": n_(
            "The variability within a row could not be computed for {n:,} row: fewer than two answers.",
            "The variability within a row could not be computed for {n:,} rows: fewer than two answers.",
            gone["irv"],
        ),
    }
    far = int((indices.loc[indices["kept"], "mahalanobis_p"] < 0.001).sum())
    text = n_(
        "{n:,} kept row lies far from the others (Mahalanobis p < .001). This is shown and removes nobody: an unusual customer is "
        "not a careless one.",
        "{n:,} kept rows lie far from the others (Mahalanobis p < .001). This is shown and removes nobody: an unusual customer is "
        "not a careless one.",
        far,
    )
    warnings = tuple(note for name, note in told.items() if gone[name])
    return Result(indices, text, len(indices), _("careless-response indices"), warnings)


@theme.picture
def plot_flow(
    flow: pd.DataFrame | Result, study: Study, *, language: str = "en"
) -> tuple[Figure, Text]:
    """The way from the rows received to the rows analysed, one box a step."""
    from matplotlib import pyplot

    table = flow.table if isinstance(flow, Result) else flow
    steps = table.iloc[1:]
    received, kept = int(table["remaining"].iloc[0]), int(table["remaining"].iloc[-1])
    figure, axes = pyplot.subplots(figsize=(6.5, 1.6 + 0.75 * len(steps)))
    bottom = -(len(steps) + 1)
    arrow = {"arrowstyle": "-|>", "color": theme.MUTED}
    axes.annotate("", (0, bottom + 0.32), (0, -0.32), arrowprops=arrow)
    ends = {"ha": "center", "weight": "bold"}
    service = theme.ROLES["service"]
    first = _("{step}  n = {n:,}", step=STEPS["received"], n=received)
    _box(axes, 0, 0, first[language], service, **ends)
    last = _("analysed  n = {n:,}", n=kept)
    _box(axes, 0, bottom, last[language], service, **ends)
    for y, row in enumerate(steps.itertuples(), 1):
        axes.annotate("", (0.55, -y), (0, -y), arrowprops=arrow)
        text = _("{step}  n = {n:,}", step=STEPS[row.step], n=row.removed)
        colour = theme.INK if row.removed else theme.MUTED
        _box(axes, 0.6, -y, text[language], theme.GRID, ha="left", color=colour)
    axes.set(xlim=(-1, 2.2), ylim=(bottom - 0.6, 0.6))
    axes.axis("off")
    return figure, _caption(received, kept)


def _box(axes: Axes, x: float, y: float, text: str, edge: str, **how: Any) -> None:
    """Words in a rounded box."""
    box = {"boxstyle": "round,pad=0.5", "linewidth": 1.2, "facecolor": "white", "edgecolor": edge}
    axes.text(x, y, text, va="center", bbox=box, **how)


def _caption(received: int, kept: int) -> Sentence:
    gone = received - kept
    way = n_(
        "From {received:,} rows received to {kept:,} analysed: {n:,} row removed",
        "From {received:,} rows received to {kept:,} analysed: {n:,} rows removed",
        gone,
        received=received,
        kept=kept,
    )
    if gone:
        return _("{way} (to the right, each counted at the first rule it met).", way=way)
    return _("{way}; no declared rule took one out.", way=way)
