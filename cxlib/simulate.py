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

from cxlib.draws import Rows, Stream
from cxlib.spoil import spoil
from cxlib.study import Column, Study
from cxlib.truth import Population, Truth, TruthError, population, read, score_mean

BLOCK = 12_000
"""Respondents drawn at a time: memory stays bounded however many are asked for."""


@dataclass(frozen=True)
class Simulated:
    """Responses as they would arrive, linked tables by name, and which rows were spoilt on purpose and how."""

    responses: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    key: pd.DataFrame


@dataclass(frozen=True)
class _Effects:
    """What groups and moderators do to the constructs.

    total : group × construct, the difference between those in a group and the rest of `within`; own : the part that no
    path brings; turns : outcome, predictor, condition, share, size; root : of the disturbances that are left.
    """

    groups: list[tuple[str, str, float]]  # when, within, share
    total: np.ndarray
    own: np.ndarray
    turns: list[tuple[str, str, str, float, float]]
    root: np.ndarray

    def membership(self, rows: Rows) -> np.ndarray:
        """Row × group: in the group or not, centred within `within`, so that nothing changes on average."""
        centred = [rows.holds(within) * (rows.holds(when) - share) for when, within, share in self.groups]
        return np.column_stack([*centred, np.zeros(rows.n)])[:, : len(self.groups)]


class _Plan:
    """What all blocks share: the population, the sources of every score, exposures, and their effects."""

    def __init__(self, study: Study):
        self.study, self.truth, self.population = study, read(study), population(study)
        named = [name for name, column in study.columns.items() if column.kind == "id" and name != study.cluster]
        if self.truth.planted and not named:
            raise TruthError("truth.planted: the key names spoilt rows by respondent, but no column is of kind id.")
        self.parts = _parts(self.truth, self.population)
        files = {d.sentences for events in self.truth.tables.values() for d in events.columns.values() if d.sentences}
        self.bank = {file: yaml.safe_load((study.folder / file).read_text("utf-8")) for file in files}
        self.early: list[str] = []  # columns no construct has a part in
        for name, draw in self.truth.columns.items():
            if set(draw.weights) <= set(self.early) and (not draw.after or draw.after in self.early):
                self.early.append(name)
            elif draw.level == "cluster":
                raise TruthError(
                    f"truth.columns.{name}: a column of the cluster cannot lean on its respondents' constructs."
                )
        self.effects = self._effects()

    def draw(self, rows: Rows, names: list[str]) -> Rows:
        single = [table.columns for table in self.study.tables.values() if table.rows == "one"]
        for name in names:
            column = next((columns[name] for columns in (self.study.columns, *single) if name in columns), None)
            if column is None:
                raise TruthError(f"truth.columns: the study declares no column '{name}'. Declare it, or take it out.")
            rows.draw(name, self.truth.columns[name], column, self.parts[name], self.bank)
        return rows

    def exposures(self, n: int, stream: Stream, first: int = 0) -> tuple[Rows, Rows]:
        """Clusters and their respondents with the early columns."""
        size, columns = self.truth.size, self.truth.columns
        clusters = Rows(-(-n // size), stream, first=first // size)
        self.draw(clusters, [name for name in self.early if columns[name].level == "cluster"])
        rows = clusters.take(np.arange(n) // size, first)
        return clusters, self.draw(rows, [name for name in self.early if columns[name].level == "respondent"])

    def _effects(self) -> _Effects:
        """Lifts in units of constructs; what they and the moderations leave of the disturbances."""
        people, (_, rows) = self.population, self.exposures(BLOCK, Stream(0, 0, "reference "))
        sizes: dict[tuple[str, str], dict[str, float]] = {}
        groups, moved = {}, pd.DataFrame(0.0, range(rows.n), people.order)
        for lift in self.truth.lifts:
            if lift.of not in people.order:
                raise TruthError(
                    f"truth.lifts: no path leads to or from '{lift.of}'. Known: {', '.join(people.order)}."
                )
            inside, treated = rows.holds(lift.within), rows.holds(lift.when)
            share = float(treated[inside].mean()) if inside.any() else 0.0
            if not 0 < share < 1:
                raise TruthError(
                    f"truth.lifts: '{lift.when}' holds for {'all' if share else 'none'} of "
                    f"'{lift.within or 'everyone'}', so there is nothing to compare. Correct the condition."
                )
            mean, slopes = score_mean(self.study, (lift.of,))
            base = mean + slopes[lift.of] * moved.loc[inside, lift.of].mean()
            size = lift.by * base / (1 + share * lift.by) / slopes[lift.of]
            moved[lift.of] += size * inside * (treated - share)
            sizes.setdefault((lift.when, lift.within), {})[lift.of] = size
            groups[lift.when, lift.within] = share
        b = people.matrix()
        total, own = (pd.DataFrame(0.0, range(len(sizes)), people.order) for _ in range(2))
        for k, declared in enumerate(sizes.values()):
            for code in people.order:
                brought = float(b.loc[code] @ total.loc[k])
                total.loc[k, code] = declared.get(code, brought)
                own.loc[k, code] = total.loc[k, code] - brought
        turns = [
            (*(code.strip() for code in turn.path.split("~")), turn.when, float(rows.holds(turn.when).mean()), turn.by)
            for turn in self.truth.moderation
        ]
        effects = _Effects(
            [(*group, share) for group, share in groups.items()], total.to_numpy(), own.to_numpy(), turns, np.eye(0)
        )
        taken = np.atleast_2d(np.cov(effects.membership(rows) @ effects.own, rowvar=False))
        for outcome, _, _, share, by in turns:
            taken[(people.order.index(outcome),) * 2] += by**2 * share * (1 - share)
        try:
            root = np.linalg.cholesky(
                people.disturbances.to_numpy() * np.outer(people.residual, people.residual) - taken
            )
        except np.linalg.LinAlgError:
            most = (np.diag(taken) / people.residual**2).idxmax()
            raise TruthError(
                f"truth.lifts: lifts and moderations leave no room in {most}: with the disturbance correlations "
                "(~~) they ask for more variance than the paths leave open. Make them smaller."
            ) from None
        return replace(effects, root=root)


def _parts(declared: Truth, people: Population) -> dict[str, tuple[dict[str, float], float]]:
    """For every column the sources of its score, and the weight of its own chance that makes its variance 1."""
    every = dict(declared.columns)
    every |= {
        f"{table}.{name}": draw for table, events in declared.tables.items() for name, draw in events.columns.items()
    }
    at = {name: i for i, name in enumerate([*people.order, *every])}
    c = np.zeros((len(at), len(at)))
    c[: len(people.order), : len(people.order)] = people.latent
    parts = {}
    for name, draw in every.items():
        table = name.split(".")[0] + "."
        sources = {
            table + source if table + source in at else source: weight for source, weight in draw.weights.items()
        }
        unknown = [source for source in sources if at.get(source, len(at)) >= at[name]]
        if unknown:
            raise TruthError(
                f"truth.columns.{name}.from: '{unknown[0]}' is neither a construct nor a column drawn before."
            )
        row = sum((weight * c[at[source]] for source, weight in sources.items()), np.zeros(len(at)))
        own = 1 - sum(weight * row[at[source]] for source, weight in sources.items())
        if own <= 0:
            raise TruthError(
                f"truth.columns.{name}.from: the weights explain {1 - own:.2f} of its variance. Make them smaller."
            )
        c[at[name]] = c[:, at[name]] = row
        c[at[name], at[name]] = 1
        parts[name] = sources, math.sqrt(own)
    return parts


def _constructs(plan: _Plan, rows: Rows, clusters: int) -> None:
    """Add the constructs' scores: disturbances with a part common to the cluster, then the paths, causes first."""
    people, effects, icc = plan.population, plan.effects, plan.truth.icc
    common = rows.stream.normal("clusters", clusters, len(people.order))[np.arange(rows.n) // plan.truth.size]
    own = rows.stream.normal("constructs", rows.n, len(people.order))
    members = effects.membership(rows)
    disturbance = (math.sqrt(icc) * common + math.sqrt(1 - icc) * own) @ effects.root.T + members @ effects.own
    for i, code in enumerate(people.order):
        score = disturbance[:, i]
        for effect, cause, value in people.paths.itertuples(index=False):
            if effect == code:
                score = score + value * rows.scores[cause]
        for outcome, predictor, when, share, by in effects.turns:
            if outcome == code:
                score = score + by * rows.scores[predictor] * (rows.holds(when) - share)
        rows.scores[code], rows.lifted[code] = score, members @ effects.total[:, i]


def _answers(plan: _Plan, rows: Rows) -> dict[str, np.ndarray]:
    """Answers to the items as the questionnaire has them (reverse items not recoded)."""
    study, people, out = plan.study, plan.population, {}
    for item, loading in people.loadings.items():
        lowest, highest = study.scale_of(item)
        behind = loading * rows.scores[study.items[item]] + math.sqrt(1 - loading**2) * rows.stream.normal(item, rows.n)
        answer = np.clip(np.rint(people.means[item] + plan.truth.sd * behind), lowest, highest)
        out[item] = lowest + highest - answer if item in study.reversed else answer
    return out


def blocks(study: Study, n: int | None = None, seed: int | None = None, clean: bool = False) -> Iterator[Simulated]:
    """The same draw as :func:`simulate`, a block of respondents at a time."""
    plan = _Plan(study)
    n, seed = plan.truth.n if n is None else n, plan.truth.seed if seed is None else seed
    if n < 1 or seed < 0:
        raise ValueError(f"n= is {n} and seed= is {seed}: n is at least 1, seed at least 0.")
    step, written = max(BLOCK // plan.truth.size, 1) * plan.truth.size, dict.fromkeys(plan.truth.tables, 0)
    for number, first in enumerate(range(0, n, step)):
        stream = Stream(seed, number)
        clusters, rows = plan.exposures(min(step, n - first), stream, first)
        _constructs(plan, rows, clusters.n)
        plan.draw(rows, [name for name in plan.truth.columns if name not in plan.early])
        answers = _answers(plan, rows)
        frame = pd.DataFrame({name: rows.cells[name] for name in study.columns if name in rows.cells} | answers)
        digits = {name: draw.digits for name, draw in plan.truth.columns.items()} | dict.fromkeys(answers, 0)
        tables = {name: _tickets(plan, name, rows, written) for name in plan.truth.tables}
        key = pd.DataFrame(columns=["resp_id", "kind", "column"])
        if not clean:
            frame = _skipped(plan, rows, frame, answers)
        frame = _typed(frame, digits)
        if not clean:
            frame, key = spoil(frame, study, plan.truth.planted, stream, plan.truth.size)
            copies = set(key.loc[key["kind"] == "duplicate", "resp_id"])
            tables = {name: t[~t[study.tables[name].key].isin(copies)] for name, t in tables.items()}
        for name, table in study.tables.items():
            if table.rows == "one":
                wanted = {c: clusters.cells[c] for c in (table.key, *table.columns)}
                tables[name] = _typed(pd.DataFrame(wanted), {c: plan.truth.columns[c].digits for c in wanted})
        yield Simulated(frame, {name: tables[name] for name in study.tables if name in tables}, key)


def _skipped(plan: _Plan, rows: Rows, frame: pd.DataFrame, answers: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Leave cells empty: some respondents skip items, more of them where a condition holds (missing at random)."""
    declared, chance = plan.truth, np.ones(rows.n)
    for condition, factor in declared.missing_times.items():
        chance[rows.holds(condition)] *= factor
    skips = rows.stream.uniform("who skips", rows.n) < declared.missing_among * chance / chance.mean()
    for name in frame:
        share = skips * declared.missing / declared.missing_among if name in answers else declared.columns[name].missing
        frame.loc[rows.stream.uniform(f"{name} missing", rows.n) < share, name] = None
    return frame


def _tickets(plan: _Plan, name: str, rows: Rows, written: dict[str, int]) -> pd.DataFrame:
    """A linked table with several rows a respondent."""
    declared, table = plan.truth.tables[name], plan.study.tables[name]
    counter = Rows(rows.n, rows.stream, rows.cells, rows.scores)
    counter.draw(f"{name} rows", declared.per, Column(kind="number"), ({}, 1.0), plan.bank)
    counts = np.where(rows.holds(declared.when), counter.cells[f"{name} rows"], 0).astype(int)
    below = rows.take(np.repeat(np.arange(rows.n), counts), written[name])
    written[name] += below.n
    for column, draw in declared.columns.items():
        code = f"{name}.{column}"
        below.draw(column, draw, table.columns[column], plan.parts[code], plan.bank, code)
    frame = pd.DataFrame({column: below.cells[column] for column in dict.fromkeys([table.key, *declared.columns])})
    chance = rows.stream.uniform(
        f"{name} missing", below.n
    )  # one for all columns: a comment is labelled by hand or not
    for column, draw in declared.columns.items():
        frame.loc[chance < draw.missing, column] = None
    return _typed(frame, {column: draw.digits for column, draw in declared.columns.items()})


def _typed(frame: pd.DataFrame, digits: Mapping[str, int]) -> pd.DataFrame:
    """Whole numbers as whole numbers, times as text: what is in the frame is what is in the file."""
    for name in frame:
        if frame[name].dtype.kind == "M":
            frame[name] = frame[name].dt.strftime("%Y-%m-%dT%H:%M:%S")
        elif frame[name].dtype.kind == "f" and digits.get(name, 0) == 0:
            frame[name] = frame[name].astype("Int64")
    return frame


def simulate(study: Study, n: int | None = None, seed: int | None = None, clean: bool = False) -> Simulated:
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
    return Simulated(
        pd.concat([p.responses for p in parts], ignore_index=True),
        {name: pd.concat([p.tables[name] for p in parts], ignore_index=True) for name in parts[0].tables},
        pd.concat([p.key for p in parts], ignore_index=True),
    )


def write(study: Study, folder: str | Path, n: int | None = None, seed: int | None = None) -> list[Path]:
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
