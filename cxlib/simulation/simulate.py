"""Draw the responses of a simulated study from the population its file declares.

Every column has its own stream of random numbers, known by seed, name and block: the same seed gives the same files,
byte for byte, and a column added later changes no other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cxlib.core.errors import TruthError
from cxlib.core.syntax import path
from cxlib.core.words import _
from cxlib.simulation.draws import Draw, Planned, Rows, Stream
from cxlib.simulation.spoil import spoil
from cxlib.simulation.truth import population
from cxlib.study.schema import Column, Study

BLOCK = 12_000
"""Respondents drawn at a time: memory stays bounded however many are asked for."""


@dataclass(frozen=True)
class Simulated:
    """Responses as they would arrive, linked tables by name, and which rows were spoilt on purpose and how."""

    responses: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    key: pd.DataFrame


@dataclass(frozen=True)
class _Term:
    """What belonging to a group adds to a construct: `size`, or `size` times a predictor."""

    outcome: str
    when: str
    within: str
    share: float
    size: float
    predictor: str = ""

    def amount(self, rows: Rows) -> np.ndarray:
        """What is added to each row: centred within `within`, so that nothing changes on average."""
        amount = self.size * rows.holds(self.within) * (rows.holds(self.when) - self.share)
        return amount * rows.scores[self.predictor] if self.predictor else amount


class _Plan:
    """What all blocks share: the population, how each column is drawn, and what groups do to the constructs."""

    def __init__(self, study: Study):
        self.study, self.people = study, population(study)
        self.truth = self.people.truth
        named = [
            name
            for name, column in study.columns.items()
            if column.kind == "id" and name != study.cluster
        ]
        if self.truth.planted and not named:
            raise TruthError(
                _(
                    "truth.planted: the key names spoilt rows by respondent, but no column is of kind id. Declare one."
                )
            )
        self.columns = self._columns()
        self.early: list[str] = []  # columns no construct has a part in
        for name, draw in self.truth.columns.items():
            if set(draw.weights) <= set(self.early) and (
                not draw.after or draw.after in self.early
            ):
                self.early.append(name)
            elif draw.level == "cluster":
                raise TruthError(
                    _(
                        "truth.columns.{name}: a column of the cluster cannot lean on its respondents' constructs. Correct from:.",
                        name=name,
                    )
                )
        self.terms, self.root = self._groups()

    def exposures(self, n: int, stream: Stream, first: int = 0) -> tuple[Rows, Rows]:
        """Clusters and their respondents with the early columns."""
        size = self.truth.size
        clusters = Rows(-(-n // size), stream, first // size)
        self.draw(
            clusters, [name for name in self.early if self.truth.columns[name].level == "cluster"]
        )
        rows = clusters.take(np.arange(n) // size, first)
        self.draw(rows, [name for name in self.early if name not in rows.cells])
        return clusters, rows

    def draw(self, rows: Rows, names: list[str]) -> None:
        for name in names:
            rows.draw(name, self.columns[name])

    def _columns(self) -> dict[str, Planned]:
        """For every column the sources of its score, and the weight of its own chance that makes its variance 1."""
        study, truth, people = self.study, self.truth, self.people
        known = {
            name if linked.rows == "one" else f"{table}.{name}": column
            for table, linked in study.tables.items()
            for name, column in linked.columns.items()
        } | study.columns
        draws = truth.columns | {
            f"{table}.{name}": draw
            for table, events in truth.tables.items()
            for name, draw in events.columns.items()
        }
        every = [*people.order, *draws]
        c, planned = people.latent.reindex(index=every, columns=every, fill_value=0.0), {}
        for code, draw in draws.items():
            if code not in known:
                raise TruthError(
                    _(
                        "truth.columns: the study declares no column '{code}'. Declare it, or take it out.",
                        code=code,
                    )
                )
            table = code.rpartition(".")[0] + "."
            weights = {
                table + name if table + name in planned else name: w
                for name, w in draw.weights.items()
            }
            if unknown := [
                source for source in weights if source not in people.order and source not in planned
            ]:
                raise TruthError(
                    _(
                        "truth.columns.{code}.from: '{name}' is neither a construct nor a column drawn before. Correct it, or declare it "
                        "above.",
                        code=code,
                        name=unknown[0],
                    )
                )
            shared = sum((weight * c[source] for source, weight in weights.items()), c[code])
            own = 1 - sum(weight * shared[source] for source, weight in weights.items())
            if own <= 0:
                raise TruthError(
                    _(
                        "truth.columns.{code}.from: the weights explain {share:.2f} of its variance. Make them smaller.",
                        code=code,
                        share=1 - own,
                    )
                )
            c[code] = c.loc[code] = shared
            c.loc[code, code] = 1.0
            texts = (
                yaml.safe_load((study.folder / draw.sentences).read_text("utf-8"))
                if draw.sentences
                else {}
            )
            planned[code] = Planned(code, draw, known[code], weights, math.sqrt(own), texts)
        return planned

    def _groups(self) -> tuple[list[_Term], np.ndarray]:
        """Lifts, in units of constructs, and moderations; the root of the covariances they leave the disturbances."""
        people, rows = self.people, self.exposures(BLOCK, Stream(0, 0, "reference "))[1]
        terms: list[_Term] = []
        moved, added = (pd.DataFrame(0.0, range(rows.n), people.order) for _ in range(2))
        if unknown := [lift.of for lift in self.truth.lifts if lift.of not in self.study.scales]:
            raise TruthError(
                _(
                    "truth.lifts: '{name}' is no construct with items. Known: {names}.",
                    name=unknown[0],
                    names=list(self.study.scales),
                )
            )
        for lift in sorted(self.truth.lifts, key=lambda lift: people.order.index(lift.of)):
            inside, treated = rows.holds(lift.within), rows.holds(lift.when)
            share = float(treated[inside].mean()) if inside.any() else 0.0
            if not 0 < share < 1:
                raise TruthError(
                    _(
                        "truth.lifts: '{when}' holds for {share:.0%} of {within}, so there is nothing to compare. Correct the condition.",
                        when=lift.when,
                        share=share,
                        within=f"'{lift.within}'" if lift.within else _("everyone"),
                    )
                )
            mean, slopes = people.score((lift.of,))
            base = mean + slopes[lift.of] * moved.loc[inside, lift.of].mean()
            whole = _Term(
                lift.of,
                lift.when,
                lift.within,
                share,
                lift.by * base / (1 + share * lift.by) / slopes[lift.of],
            )
            same = [term for term in terms if (term.when, term.within) == (lift.when, lift.within)]
            brought = sum(term.size * people.total.loc[lift.of, term.outcome] for term in same)
            own = replace(whole, size=whole.size - brought)  # the rest comes by the paths
            moved[lift.of] += whole.amount(rows)
            added[lift.of] += own.amount(rows)
            terms.append(own)
        taken = added.cov()
        for turn in self.truth.moderation:
            outcome, predictor = path(turn.path)
            share = float(rows.holds(turn.when).mean())
            terms.append(_Term(outcome, turn.when, "", share, turn.by, predictor))
            taken.loc[outcome, outcome] += turn.by**2 * share * (1 - share)
        try:
            return terms, np.linalg.cholesky(people.disturbances - taken)
        except np.linalg.LinAlgError:
            most = pd.Series(np.diag(taken) / np.diag(people.disturbances), people.order).idxmax()
            raise TruthError(
                _(
                    "truth.lifts: lifts and moderations leave no room in {construct}: with the disturbance correlations (~~) they ask for "
                    "more variance than the paths leave open. Make them smaller.",
                    construct=most,
                )
            ) from None


def _constructs(plan: _Plan, rows: Rows, clusters: int) -> None:
    """Add the constructs' scores: disturbances with a part common to the cluster, then the paths, causes first."""
    people, icc = plan.people, plan.truth.icc
    common = rows.stream.normal("clusters", clusters, len(people.order))[
        np.arange(rows.n) // plan.truth.size
    ]
    personal = rows.stream.normal("constructs", rows.n, len(people.order))
    disturbances = (math.sqrt(icc) * common + math.sqrt(1 - icc) * personal) @ plan.root.T
    for code, disturbance in zip(people.order, disturbances.T, strict=True):
        own = [term for term in plan.terms if term.outcome == code]
        lifted = sum((term.amount(rows) for term in own if not term.predictor), np.zeros(rows.n))
        score = disturbance + lifted + sum(term.amount(rows) for term in own if term.predictor)
        for _outcome, cause, value in people.paths[people.paths["outcome"] == code].itertuples(
            index=False
        ):
            score, lifted = score + value * rows.scores[cause], lifted + value * rows.lifted[cause]
        rows.scores[code], rows.lifted[code] = score, lifted


def _answers(plan: _Plan, rows: Rows) -> dict[str, np.ndarray]:
    """Answers to the items as the questionnaire has them (reverse items not recoded)."""
    out = {}
    for row in plan.people.items.itertuples():
        chance = math.sqrt(1 - row.loading**2) * rows.stream.normal(row.Index, rows.n)
        behind = row.loading * rows.scores[row.construct] + chance
        answer = np.clip(np.rint(row.mean + plan.truth.sd * behind), row.low, row.high)
        out[row.Index] = row.low + row.high - answer if row.Index in plan.study.reversed else answer
    return out


def blocks(
    study: Study, n: int | None = None, seed: int | None = None, clean: bool = False
) -> Iterator[Simulated]:
    """The same draw as :func:`simulate`, a block of respondents at a time."""
    plan = _Plan(study)
    truth = plan.truth
    n, seed = truth.n if n is None else n, truth.seed if seed is None else seed
    if n < 1 or seed < 0:
        raise TruthError(
            _("n= is {n} and seed= is {seed}: n is at least 1, seed at least 0.", n=n, seed=seed)
        )
    step, written = max(BLOCK // truth.size, 1) * truth.size, dict.fromkeys(truth.tables, 0)
    for number, first in enumerate(range(0, n, step)):
        stream = Stream(seed, number)
        clusters, rows = plan.exposures(min(step, n - first), stream, first)
        _constructs(plan, rows, clusters.n)
        plan.draw(rows, [name for name in truth.columns if name not in plan.early])
        answers = _answers(plan, rows)
        frame = pd.DataFrame(
            {name: rows.cells[name] for name in study.columns if name in rows.cells} | answers
        )
        tables = {name: _tickets(plan, name, rows, written) for name in truth.tables}
        key = pd.DataFrame(columns=["resp_id", "kind", "column"])
        frame = _typed(frame, truth.columns)
        if not clean:
            skipped = _skipped(plan, rows, frame, answers)
            frame, key = spoil(skipped, study, truth.planted, stream, truth.size)
            copies = set(key.loc[key["kind"] == "duplicate", "resp_id"])
            tables = {
                name: t[~t[study.tables[name].key].isin(copies)] for name, t in tables.items()
            }
        for name, table in study.tables.items():
            if table.rows == "one":
                own = pd.DataFrame(
                    {column: clusters.cells[column] for column in (table.key, *table.columns)}
                )
                tables[name] = _typed(own, truth.columns)
        yield Simulated(frame, {name: tables[name] for name in study.tables if name in tables}, key)


def _skipped(
    plan: _Plan, rows: Rows, frame: pd.DataFrame, answers: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Leave cells empty: some respondents skip items, more of them where a condition holds (missing at random)."""
    declared, chance = plan.truth, np.ones(rows.n)
    for condition, factor in declared.missing_times.items():
        chance[rows.holds(condition)] *= factor
    skips = (
        rows.stream.uniform("who skips", rows.n) < declared.missing_among * chance / chance.mean()
    )
    for name in frame:
        share = (
            skips * declared.missing / declared.missing_among
            if name in answers
            else declared.columns[name].missing
        )
        frame.loc[rows.stream.uniform(f"{name} missing", rows.n) < share, name] = None
    return frame


def _tickets(plan: _Plan, name: str, rows: Rows, written: dict[str, int]) -> pd.DataFrame:
    """A linked table with several rows a respondent."""
    declared, table = plan.truth.tables[name], plan.study.tables[name]
    rows.draw(f"{name} rows", Planned(f"{name} rows", declared.per, Column(kind="number")))
    counts = np.where(rows.holds(declared.when), rows.cells[f"{name} rows"], 0).astype(int)
    below = rows.take(np.repeat(np.arange(rows.n), counts), written[name])
    written[name] += below.n
    for column in declared.columns:
        below.draw(column, plan.columns[f"{name}.{column}"])
    frame = pd.DataFrame(
        {column: below.cells[column] for column in dict.fromkeys([table.key, *declared.columns])}
    )
    chance = rows.stream.uniform(
        f"{name} missing", below.n
    )  # one for all columns: a comment is labelled or not
    for column, draw in declared.columns.items():
        frame.loc[chance < draw.missing, column] = None
    return _typed(frame, declared.columns)


def _typed(frame: pd.DataFrame, draws: Mapping[str, Draw]) -> pd.DataFrame:
    """Whole numbers as whole numbers, times as text: what is in the frame is what is in the file."""
    for name in frame:
        if frame[name].dtype.kind == "M":
            frame[name] = frame[name].dt.strftime("%Y-%m-%dT%H:%M:%S")
        elif frame[name].dtype.kind == "f" and not (name in draws and draws[name].digits):
            frame[name] = frame[name].astype("Int64")
    return frame


def simulate(
    study: Study, n: int | None = None, seed: int | None = None, clean: bool = False
) -> Simulated:
    """Draw the responses of a study from its truth.

    Parameters
    ----------
    study : Study
        With a truth.
    n : int, optional
        Respondents before cleaning; default as declared.
    seed : int, optional
        Default as declared.  The same seed gives the same responses.
    clean : bool
        Without missing cells and without spoilt rows, to look at the population itself.

    Raises
    ------
    TruthError
        The declared population cannot exist or cannot be drawn.

    Notes
    -----
    Disturbances of a cluster share `icc` of their variance, so constructs keep variance 1 and their correlations.
    Lifts and moderations are part of the disturbances and centred: the declared paths stay what a pooled fit shows.
    """
    parts = list(blocks(study, n, seed, clean))
    tables = {
        name: pd.concat([part.tables[name] for part in parts], ignore_index=True)
        for name in parts[0].tables
    }
    responses, key = (
        pd.concat([getattr(part, name) for part in parts], ignore_index=True)
        for name in ("responses", "key")
    )
    return Simulated(responses, tables, key)


def write(
    study: Study, folder: str | Path, n: int | None = None, seed: int | None = None
) -> list[Path]:
    """Draw the responses and write them, a block at a time, as the files the study names.

    Returns
    -------
    list of Path
        Responses, linked tables and the key of spoilt rows; all written whole or not at all.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [study.responses.file, *(table.file for table in study.tables.values())]
    names += [study.screening.key] if study.screening.key else []
    drafts = {name: folder / f"{name}.part" for name in names}
    try:
        for number, part in enumerate(blocks(study, n, seed)):
            frames = [part.responses, *part.tables.values(), part.key]
            for draft, frame in zip(drafts.values(), frames, strict=False):
                with draft.open("a" if number else "w", encoding="utf-8", newline="") as file:
                    frame.to_csv(file, index=False, header=not number, lineterminator="\n")
        return [draft.replace(folder / name) for name, draft in drafts.items()]
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
