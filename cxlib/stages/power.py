"""How likely a sample is to notice what is there: power of a study's own paths and effects, and of its fit.

Samples are drawn as covariance matrices (Wishart) from a population that follows from the study's truth or from effect
sizes the researcher declares, and the model is refitted to each (:mod:`cxlib.statistics.power`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlib import sem
from cxlib.core import theme
from cxlib.core.errors import Impossible
from cxlib.core.result import Result, Text, makes, nothing
from cxlib.core.syntax import path, steps
from cxlib.core.words import Sentence, _, c_, n_, number
from cxlib.sem import paths
from cxlib.simulation import truth
from cxlib.statistics.power import monte_carlo, n_for_rmsea, power_rmsea
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cxlib.sem.model import Model

COLUMNS = ["kind", "name", "std", "n", "power", "ci_low", "ci_high", "formula", "n_80", "samples"]


@makes("power", " ".join(COLUMNS))
def power(
    study: Study,
    model: str = "main",
    n: int | None = None,
    *,
    rng: np.random.Generator,
    population: Mapping[str, float] | None = None,
    sizes: Sequence[int] = (),
    reps: int = 1000,
) -> Result:
    """Monte-Carlo power of every path of a model and of its indirect effects, over sample sizes.

    Columns in the model (controls) have no population: their paths are left out, and the warnings name them.

    Parameters
    ----------
    study : Study
    model : str
        A model of the study.
    n : int, optional
        Respondents without missing values; default: of the truth.
    rng : numpy Generator
    population : mapping, optional
        Standardised sizes such as ``{"SA ~ PV": 0.3, "TS ~~ CV": 0.5}`` (loadings then are .75); default: the study's
        truth, its answers rounded to the scale.
    sizes : sequence of int
        Further sample sizes; default: a quarter to twice `n`, or as many as there must be at least.  Sizes of no more
        rows than items are left out, and the warnings say so.
    reps : int
        Samples a size.

    Returns
    -------
    Result
        kind (path, effect, total), name, std in the population, n, power with the 95 % interval of its simulation
        (Wilson), formula (the large-sample value), n_80 (respondents for a power of .80 by that formula, infinite
        where there is nothing to find), samples used.  Empty, with the reason, if no path between constructs is left.

    Raises
    ------
    Impossible
        No population or no `n` can be had.

    Notes
    -----
    A path counts as noticed if its Wald z is significant (two-sided, .05) and has the population's sign; where the
    population has none, the rate of false alarms is shown.  A chain is noticed if all its paths are (joint significance;
    Fritz & MacKinnon 2007, doi:10.1111/j.1467-9280.2007.01882.x, find it close to the bootstrap); sums and total effects
    by the delta method.  One path in large samples: Φ(|b|/se − z₁₋α/₂).  Respondents count as independent.
    R: ``simsem::sim(reps, n, model, generate)``, then ``getPower``.
    """
    n = n or (study.truth or {}).get("n")
    if n is None:
        raise Impossible(
            _("n= is not given, and no truth says how many respondents there are. Give n=.")
        )
    n = int(n)
    notes: list[Text] = []
    parsed, columns = _of_constructs(study, model)
    if columns:
        notes.append(
            _(
                "Power leaves out {columns} and the paths from and to it: no population says how it goes with the constructs.",
                columns=columns,
            )
        )
    if not (parsed.table["op"] == "~").any():
        text = _(
            "There is no power to compute: model '{model}' has no path between constructs.",
            model=model,
        )
        return nothing(COLUMNS, text, (text, *notes))
    cov = _covariance(study, model, population)
    chosen, left_out = _sizes(n, sizes, len(parsed.observed) + 1)
    tests = _tests(study, model, parsed)
    pairs = list(zip(tests.pop("effect"), tests.pop("steps"), strict=True))
    found = monte_carlo(parsed, cov, pairs, chosen, reps, rng)
    notes += left_out
    notes += [
        _(
            "With {size:,} respondents no sample gave a solution, so that size is left out.",
            size=size,
        )
        for size in found.without
    ]
    if found.table.empty:
        return nothing(COLUMNS, notes[-1], tuple(notes))
    table = tests.loc[found.table["test"]].reset_index(drop=True).join(found.table)[COLUMNS]
    used = int(table.drop_duplicates("n")["samples"].sum())
    drawn = reps * len(found.sizes)
    if used < drawn:
        notes.append(
            _(
                "{failed} of {drawn} samples gave no solution; they are left out.",
                failed=drawn - used,
                drawn=drawn,
            )
        )
    method = _("Monte-Carlo power, {reps} Wishart samples a size, two-sided alpha 0.05", reps=reps)
    return Result(table, _sentence(table, n), n, method, tuple(notes))


def _sizes(n: int, sizes: Sequence[int], least: int) -> tuple[list[int], list[Text]]:
    """The sample sizes that can be simulated, in order, and what is said of those that cannot."""
    shares = (0.25, 0.5, 0.75, 1, 1.5, 2)
    wanted = {n, *(sizes or (round(n * share) for share in shares))}
    if n < least and not sizes:  # show at least where the curve begins
        wanted |= {round(least * share) for share in shares}
    chosen = sorted(size for size in wanted if size >= least)
    if len(chosen) == len(wanted):
        return chosen, []
    if not sizes:
        chosen = sorted({least, *chosen})
    if n < least:
        return chosen, [
            _(
                "Sizes below {least} left out: fewer rows than items, or as many, determine no model, {n:,} of this study among them.",
                least=least,
                n=n,
            )
        ]
    return chosen, [
        _(
            "Sizes below {least} left out: fewer rows than items, or as many, determine no model.",
            least=least,
        )
    ]


def _of_constructs(study: Study, model: str) -> tuple[Model, list[str]]:
    """A model without the columns that are no answers to items, and these."""
    parsed = sem.parse(study.syntax(model))
    columns = [name for name in parsed.observed if name not in study.items]
    if not columns:
        return parsed, columns
    rows = parsed.table[~parsed.table[["lhs", "rhs"]].isin(columns).any(axis=1)]
    lines = [
        f"{row.lhs} {row.op} {row.label or 'NA' if row.free else row.value}*{row.rhs}"
        for row in rows.itertuples()
    ]
    return sem.parse("\n".join(lines)), columns


def _tests(study: Study, model: str, parsed: Model) -> pd.DataFrame:
    """Every free path, the effects the study's hypotheses name for the model, then every chain of two paths.

    kind, name, effect, and steps: the places of the tests it takes to notice it.
    """
    rows = parsed.table[(parsed.table["op"] == "~") & (parsed.table["free"] > 0)]
    drawn = list(zip(rows["rhs"], rows["lhs"], strict=True))
    stated = [
        h
        for h in study.hypotheses.values()
        if h.model == model
        and (words := h.effect or h.total)
        and {code for step in steps(words) for code in step} <= {*parsed.state}
    ]
    more = [paths.effect(parsed, h.effect) for h in stated if h.effect]
    more += [
        paths.effect(parsed, h.total, "total") for h in stated if h.total and "+" not in h.total
    ]
    more += [
        paths.effect(parsed, f"{a} -> {m} -> {y}")
        for a, m in drawn
        for start, y in drawn
        if start == m
    ]
    tests = [("path", f"{y} ~ {a}", paths.effect(parsed, f"{a} -> {y}")) for a, y in drawn]
    tests += [
        ("total" if effect.kind == "total" else "effect", effect.name, effect)
        for effect in {effect.name + effect.kind: effect for effect in more}.values()
    ]
    table = pd.DataFrame(tests, columns=["kind", "name", "effect"])
    chains = [
        effect.chains[0] if kind != "total" and len(effect.chains) == 1 else ()
        for kind, _name, effect in tests
    ]
    return table.assign(
        steps=[
            [drawn.index(step) for step in pairwise(chain) if step in drawn] or [k]
            for k, chain in enumerate(chains)
        ]
    )


def assumed(study: Study, size: float = 0.2, model: str = "main") -> dict[str, float]:
    """The same standardised size for every path of a model: a population for a study that declares no truth.

    .1, .3 and .5 are Cohen's (1992, doi:10.1037/0033-2909.112.1.155) small, medium and large correlations.
    """
    rows = _of_constructs(study, model)[0].table.query("op == '~'")
    return {f"{row.lhs} ~ {row.rhs}": size for row in rows.itertuples()}


def _covariance(study: Study, model: str, sizes: Mapping[str, float] | None) -> pd.DataFrame:
    """Covariances of the items in the population."""
    if sizes is not None:
        named = study.model_constructs(model)
        lines = [f"{code} ~~ 0*{named[0]}" for code in named[1:]]
        for words, value in sizes.items():
            left, op, right = words.split()
            lines.append(f"{left} {op} {value:.10f}*{right}")
        loads = [(code, part) for code in named for part in study.constructs[code].of]
        lines += [
            f"{code} =~ 0.75*{part}" for code, part in loads if f"{code} =~ {part}" not in sizes
        ]
        constructs = {code: study.constructs[code] for code in named}
        study = study.model_copy(
            update={
                "truth": {"n": 1, "seed": 0, "paths": "\n".join(lines)},
                "constructs": constructs,
            }
        )
    elif study.truth is None:
        raise Impossible(
            _(
                "The study '{study}' declares no truth. Give population=: standardised sizes such as {{'SA ~ PV': 0.3}}.",
                study=study.id,
            )
        )
    return truth.population(study).covariance(rounded=sizes is None)


@makes("power_rmsea", "model df npar n_needed", more="n power")
def rmsea_table(study: Study, n: int | None = None, power: float = 0.80) -> Result:
    """Respondents each model of a study needs to tell mediocre fit (RMSEA .08) from close fit (.05).

    Returns
    -------
    Result
        model, df, npar, n_needed; with `n`, or a truth that declares one, n and the power it gives.
    """
    n = n or (study.truth or {}).get("n")
    rows = []
    for name in study.models:
        parsed = sem.parse(study.syntax(name))
        needed = (
            n_for_rmsea(parsed.df, power=power) if parsed.df > 0 else np.inf
        )  # a saturated model always fits
        given = {"n": n, "power": power_rmsea(n, parsed.df) if parsed.df > 0 else 0.0} if n else {}
        rows.append(
            {"model": name, "df": parsed.df, "npar": parsed.npar, "n_needed": needed} | given
        )
    table = pd.DataFrame(rows)
    main = table.set_index("model").loc["main"]
    text = _(
        "With 0 degrees of freedom the main model fits any data: no number of respondents can test its fit."
    )
    if main["df"] >= 1:
        text = _(
            "With {df:.0f} degrees of freedom the main model needs {needed:,.0f} respondents to tell an RMSEA of .08 from one of .05 with a "
            "power of {power:.2f}. Its {npar:.0f} free parameters, and the paths one wants to see, ask for more.",
            df=main["df"],
            needed=main["n_needed"],
            power=power,
            npar=main["npar"],
        )
    method = _("power of the test of close fit (MacCallum, Browne and Sugawara 1996)")
    return Result(table, text, int(n or 0), method)


def _sentence(table: pd.DataFrame, n: int) -> Sentence:
    if n not in set(table["n"]):
        return _(
            "With {n:,} respondents the model cannot be estimated, so there is no power; the curve begins at {least:,}.",
            n=n,
            least=int(table["n"].min()),
        )
    real = table[(table["n"] == n) & np.isfinite(table["n_80"])]
    if real.empty:
        return _(
            "Nothing the study asks about exists in the population: there is nothing to notice."
        )
    hard = real.sort_values("n_80").iloc[-1]
    return _(
        "With {n:,} respondents the power is at least .80 for {found} that exist in the population. The hardest to notice, {name} ({std}), "
        "needs {needed:,.0f}.",
        n=n,
        found=[
            _enough(str(kind), int((group["power"] >= 0.80).sum()), len(group))
            for kind, group in real.groupby("kind", sort=False)
        ],
        name=hard["name"],
        std=number(hard["std"], 2),
        needed=hard["n_80"],
    )


def _enough(kind: str, found: int, n: int) -> Sentence:
    """How many of a kind have a power of .80."""
    if kind == "path":
        return n_("{found} of {n:,} path", "{found} of {n:,} paths", n, found=found)
    if kind == "effect":
        return n_(
            "{found} of {n:,} indirect effect",
            "{found} of {n:,} indirect effects",
            n,
            found=found,
        )
    return n_("{found} of {n:,} total effect", "{found} of {n:,} total effects", n, found=found)


@theme.picture
def plot_power(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Power over the number of respondents: paths left, single effects right, each curve with its name."""
    from matplotlib import pyplot

    if result.table.empty:
        return theme.blank(result.text, language)
    table = result.table[~result.table["name"].str.contains("+", regex=False)]
    sides = [
        (title[language], side)
        for title, side in (
            (c_("curves of power", "Paths"), table[table["kind"] == "path"]),
            (c_("curves of power", "Effects"), table[table["kind"] != "path"]),
        )
        if len(side)
    ]
    labels = max(
        int(np.isfinite(side.drop_duplicates("name")["n_80"]).sum()) for _title, side in sides
    )
    figure, axes = pyplot.subplots(
        1, len(sides), figsize=(6 * len(sides), max(4.2, 0.2 * labels + 1)), squeeze=False
    )
    for axis, (title, side) in zip(axes[0], sides, strict=True):
        _curves(axis, side, study, language)
        axis.axhline(0.80, color=theme.INK, lw=0.8, ls="--")
        axis.axvline(result.n_used, color=theme.GRID, lw=4, zorder=0)
        axis.set(
            title=title,
            xlabel=c_("curves of power", "respondents")[language],
            ylabel=c_("curves of power", "power")[language],
            ylim=(0, 1.06),
            xlim=(side["n"].min(), side["n"].max()),
        )
        axis.set_yticks(np.linspace(0, 1, 6))
    return figure, _(
        "Power over the number of respondents, {samples:,} simulated samples a point. Dashed: power .80; grey band: {n:,} respondents; "
        "dotted: nothing to find, the curve is the rate of false alarms. Colour: the role of the outcome. Names are in the order of the "
        "curves on the right. A curve that reaches .80 left of the band stands for something this study should notice.",
        samples=int(result.table["samples"].min()),
        n=result.n_used,
    )


def _curves(axis: Axes, side: pd.DataFrame, study: Study, language: str) -> None:
    """A curve a path or effect, with its name at its end; those absent from the population share one."""
    last = side["n"].max()
    ends: list[tuple[float, float, str, str]] = []
    absent: list[tuple[float, float, str, str]] = []
    for name, curve in side.groupby("name", sort=False):
        codes = (
            [code for step in steps(name) for code in step] if "->" in name else path(name)[::-1]
        )
        there = np.isfinite(curve["n_80"].iloc[0])
        colour = theme.ROLES[study.role(codes[-1])] if there else theme.MUTED
        style = "-" if there else ":"
        axis.plot(curve["n"], curve["power"], color=colour, lw=1.3, ls=style, alpha=0.85)
        named = curve["power"].iloc[-1], -curve["n_80"].iloc[0], "→".join(codes), colour
        (ends if there else absent).append(named)
    if absent:
        label = _("absent from the population: {n}", n=len(absent))[language]
        ends.append((float(np.mean([end[0] for end in absent])), 0, label, theme.MUTED))
    ends.sort()
    places = theme.apart([end[0] for end in ends], min(0.045, 1.06 / max(len(ends), 1)), 1.06)
    for (end, _rank, label, colour), at in zip(ends, places, strict=True):
        axis.plot([last, last * 1.05], [end, at], color=colour, lw=0.5, clip_on=False)
        axis.text(last * 1.06, at, label, color=colour, va="center", fontsize=7.5)
