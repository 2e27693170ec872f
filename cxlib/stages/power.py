"""How likely a sample is to notice what is there: power of a study's own paths and effects, and of its fit.

Samples are drawn as covariance matrices (Wishart) from a population that follows from the study's truth or from effect
sizes the researcher declares, and the model is refitted to each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from cxlib import sem
from cxlib.core import theme
from cxlib.core.result import Result, Text
from cxlib.core.syntax import path, steps
from cxlib.core.words import number, plural
from cxlib.study.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.sem.model import Model
    from cxlib.sem.paths import Effect

COLUMNS = ["kind", "name", "std", "n", "power", "ci_low", "ci_high", "formula", "n_80", "samples"]
CHUNK = 200


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
    ValueError
        No population or no `n` can be had.

    Notes
    -----
    A path counts as noticed if its Wald z is significant (two-sided, .05) and has the population's sign; where the
    population has none, the rate of false alarms is shown.  A chain is noticed if all its paths are (joint significance;
    Fritz & MacKinnon 2007, doi:10.1111/j.1467-9280.2007.01882.x, find it close to the bootstrap); sums and total effects
    by the delta method.  One path in large samples: Φ(|b|/se − z₁₋α/₂).  Respondents count as independent.
    R: ``simsem::sim(reps, n, model, generate)``, then ``getPower``.
    """
    from statsmodels.stats.proportion import proportion_confint

    from cxlib.sem import kernel, lockstep, paths, resampling

    n = n or (study.truth or {}).get("n")
    if n is None:
        raise ValueError(
            "n= is not given, and no truth says how many respondents there are. Give n=."
        )
    parsed, columns = _of_constructs(study, model)
    listed = ", ".join(columns)
    notes = (
        [
            {
                "en": f"Power leaves out {listed} and the paths from and to it: no population says how it goes with the constructs.",
                "zh": f"功效分析不含 {listed} 及其路径：没有总体说明它与各构念的关系。",
            }
        ]
        if columns
        else []
    )
    if not (parsed.table["op"] == "~").any():
        text = {
            "en": f"There is no power to compute: model '{model}' has no path between constructs.",
            "zh": f"无功效可算：模型“{model}”没有构念之间的路径。",
        }
        return Result(pd.DataFrame(columns=COLUMNS), text, int(n), "not computed", (text, *notes))
    cov = _covariance(study, model, population)
    cov, compiled = cov.loc[list(parsed.observed), list(parsed.observed)], kernel.compile(parsed)
    theta = sem.fit_moments(cov, 100_000, parsed).theta
    tests = _tests(study, model, parsed)
    effects, steps = list(tests.pop("effect")), list(tests.pop("steps"))
    std = paths.values(parsed, effects, theta[None], standardised=True)[0]
    sign = np.where(np.abs(std) < 1e-6, 0, np.sign(std))
    exact = np.abs(_z(parsed, effects, theta[None], 1)[0])  # in the population, at n = 1

    def formula(k: int, size: float) -> float:
        """Power of a test in large samples."""
        return float(np.prod([wald_power(exact[step] * np.sqrt(size)) for step in steps[k]]))

    needed = [
        _smallest(lambda size, k=k: formula(k, size), 0.80) if sign[k] else np.inf
        for k in tests.index
    ]
    chosen, left_out = _sizes(int(n), sizes, len(cov) + 1)
    notes, parts = [*notes, *left_out], []
    for size in chosen:
        drawn, means = (
            resampling.simulate_covariances(cov.to_numpy(), size, reps, rng),
            np.zeros((reps, len(cov))),
        )
        refits = lockstep.refit(compiled, lockstep.given([drawn], [means], [size]), theta)
        found = refits.theta[refits.status != "failed"]
        if not len(found):
            notes.append(
                {
                    "en": f"With {size:,} respondents no sample gave a solution, so that size is left out.",
                    "zh": f"{size:,} 名受访者时所有样本均无解，该样本量不计。",
                }
            )
            continue
        z = np.concatenate(
            [
                _z(parsed, effects, found[at : at + CHUNK], size)
                for at in range(0, len(found), CHUNK)
            ]
        )
        noticed = np.column_stack([_noticed(z[:, steps[k]], sign[k]) for k in tests.index])
        low, high = proportion_confint(noticed.sum(axis=0), len(z), method="wilson")
        parts.append(
            tests.assign(
                std=std,
                n=size,
                power=noticed.mean(axis=0),
                ci_low=low,
                ci_high=high,
                formula=[formula(k, size) for k in tests.index],
                n_80=needed,
                samples=len(z),
            )
        )
    if not parts:
        return Result(
            pd.DataFrame(columns=COLUMNS), notes[-1], int(n), "not computed", tuple(notes)
        )
    table = pd.concat(parts, ignore_index=True)[COLUMNS]
    failed, drawn = sum(reps - part["samples"].iloc[0] for part in parts), reps * len(parts)
    if failed:
        notes.append(
            {
                "en": f"{failed} of {drawn} samples gave no solution; they are left out.",
                "zh": f"{drawn} 个样本中有 {failed} 个无解，未计入。",
            }
        )
    return Result(
        table,
        _sentence(table, int(n)),
        int(n),
        f"Monte-Carlo power, {reps} Wishart samples a size, two-sided alpha 0.05",
        tuple(notes),
    )


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
    rows = {
        "en": f", {n:,} of this study among them" if n < least else "",
        "zh": f"（包括本研究的 {n:,} 人）" if n < least else "",
    }
    return chosen, [
        {
            "en": f"Sizes below {least} left out: fewer rows than items, or as many, determine no model{rows['en']}.",
            "zh": f"未计入小于 {least} 的样本量：行数不多于题项数时无法确定模型{rows['zh']}。",
        }
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
    from cxlib.sem import paths

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
        for kind, _, effect in tests
    ]
    return table.assign(
        steps=[
            [drawn.index(step) for step in pairwise(chain) if step in drawn] or [k]
            for k, chain in enumerate(chains)
        ]
    )


def _z(model: Model, effects: list[Effect], theta: np.ndarray, n: int) -> np.ndarray:
    """Estimate over standard error of every effect at free numbers (R, npar)."""
    from cxlib.sem import paths, resampling

    free = model.table.query("op == '~' and free > 0")["free"].to_numpy(int) - 1
    estimate = paths.values(model, effects, theta)
    slopes = np.zeros((*estimate.shape, len(free)))
    for k, column in enumerate(free):
        shifted = theta.astype(complex)
        shifted[:, column] += 1e-20j
        slopes[:, :, k] = paths.values(model, effects, shifted).imag / 1e-20
    vcov = resampling.vcov(model, theta, n)[:, free[:, None], free]
    return estimate / np.sqrt(
        np.maximum(np.einsum("rek,rkl,rel->re", slopes, vcov, slopes), 1e-300)
    )


def _noticed(z: np.ndarray, sign: int) -> np.ndarray:
    """In which samples all steps are significant with the population's sign, if there is one."""
    return (np.abs(z) > -ndtri(0.025)).all(axis=1) & (
        (np.sign(z).prod(axis=1) == sign) | (sign == 0)
    )


def _smallest(power_of: Callable[[int], float], wanted: float, low: int = 1) -> int:
    """The smallest whole number above `low` whose power exceeds what is wanted."""
    high = 2 * low
    while power_of(high) <= wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) > wanted else (middle, high)
    return high


def assumed(study: Study, size: float = 0.2, model: str = "main") -> dict[str, float]:
    """The same standardised size for every path of a model: a population for a study that declares no truth.

    .1, .3 and .5 are Cohen's (1992, doi:10.1037/0033-2909.112.1.155) small, medium and large correlations.
    """
    rows = _of_constructs(study, model)[0].table.query("op == '~'")
    return {f"{row.lhs} ~ {row.rhs}": size for row in rows.itertuples()}


def _covariance(study: Study, model: str, sizes: Mapping[str, float] | None) -> pd.DataFrame:
    """Covariances of the items in the population."""
    from cxlib.simulation import truth

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
        raise ValueError(
            f"The study '{study.id}' declares no truth. Give population=: standardised sizes such as {{'SA ~ PV': 0.3}}."
        )
    return truth.population(study).covariance(rounded=sizes is None)


def wald_power(ratio: float) -> float:
    """Power of a two-sided z test (.05) in the right direction; `ratio` is the effect over its standard error.

    Notes
    -----
    Φ(|ratio| − z₀.₉₇₅); without an effect the rate of false alarms, .05.
    R: ``pnorm(abs(ratio) - qnorm(.975))``.
    """
    return float(ndtr(abs(ratio) + ndtri(0.025))) if abs(ratio) > 1e-9 else 0.05


def power_rmsea(
    n: float,
    df: int,
    rmsea0: float = 0.05,
    rmsea1: float = 0.08,
    alpha: float = 0.05,
    groups: int = 1,
) -> float:
    """Power to tell a population of RMSEA `rmsea1` from one of `rmsea0`.

    Parameters
    ----------
    n : float
        Respondents of all groups.
    df : int
        Degrees of freedom of the model.
    rmsea0, rmsea1 : float
        Hypothesised and true RMSEA.  rmsea0 < rmsea1 tests close fit, rmsea0 > rmsea1 tests fit that is not close.

    Raises
    ------
    ValueError
        df below 1, or equal or negative RMSEA.

    Notes
    -----
    χ² is noncentral with λ = (n − 1)·df·RMSEA²/groups (MacCallum, Browne & Sugawara 1996,
    doi:10.1037/1082-989X.1.2.130).
    R: ``semTools::findRMSEApower(rmsea0, rmsea1, df, n, alpha, group = groups)``.
    """
    from scipy.stats import chi2, ncx2

    if df < 1 or rmsea0 == rmsea1 or min(rmsea0, rmsea1) < 0:
        raise ValueError(
            f"df= is {df}, rmsea0= {rmsea0}, rmsea1= {rmsea1}: df is at least 1, and the two RMSEA differ and "
            "are not negative."
        )
    centre = [(n - 1) * df * rmsea**2 / groups for rmsea in (rmsea0, rmsea1)]
    null, true = (ncx2(df, nc) if nc > 0 else chi2(df) for nc in centre)
    return float(true.sf(null.isf(alpha)) if rmsea0 < rmsea1 else true.cdf(null.ppf(alpha)))


def n_for_rmsea(
    df: int, rmsea0: float = 0.05, rmsea1: float = 0.08, power: float = 0.80, alpha: float = 0.05
) -> int:
    """Smallest number of respondents whose power to tell `rmsea1` from `rmsea0` exceeds `power` (at least 5).

    Notes
    -----
    R: ``semTools::findRMSEAsamplesize(rmsea0, rmsea1, df, power, alpha)``, which passes over 501 to 504 and so on.
    """
    return _smallest(lambda n: power_rmsea(n, df, rmsea0, rmsea1, alpha), power, low=4)


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
    text = {"en": "With 0 degrees of freedom the main model fits any data: no number of respondents can test its fit.",
            "zh": "主模型自由度为 0，与任何数据都拟合：再多的受访者也无法检验其拟合。"} if main["df"] < 1 else {
            "en": f"With {main['df']:.0f} degrees of freedom the main model needs {main['n_needed']:,.0f} respondents "
                  f"to tell an RMSEA of .08 from one of .05 with a power of {power:.2f}. Its {main['npar']:.0f} free "
                  "parameters, and the paths one wants to see, ask for more.",
            "zh": f"主模型有 {main['df']:.0f} 个自由度，要以 {power:.2f} 的功效区分 RMSEA .08 与 .05，需要 {main['n_needed']:,.0f} 名受访者；"
                  f"而它的 {main['npar']:.0f} 个自由参数以及所关心的路径需要更大的样本。"}  # fmt: skip
    return Result(
        table,
        text,
        int(n or 0),
        "power of the test of close fit (MacCallum, Browne and Sugawara 1996)",
    )


def _sentence(table: pd.DataFrame, n: int) -> Text:
    if n not in set(table["n"]):
        least = int(table["n"].min())
        return {
            "en": f"With {n:,} respondents the model cannot be estimated, so there is no power; the curve begins at {least:,}.",
            "zh": f"{n:,} 名受访者无法估计该模型，因此没有功效可言；曲线从 {least:,} 人开始。",
        }
    real = table[(table["n"] == n) & np.isfinite(table["n_80"])]
    kinds = {
        "path": ("path", "条路径"),
        "effect": ("indirect effect", "个间接效应"),
        "total": ("total effect", "个总效应"),
    }
    parts = [(kinds[str(kind)], int((group["power"] >= 0.80).sum()), len(group))
             for kind, group in real.groupby("kind", sort=False)]  # fmt: skip
    if real.empty:
        return {
            "en": "Nothing the study asks about exists in the population: there is nothing to notice.",
            "zh": "研究所问的路径与效应在总体中都不存在：没有可发现的。",
        }
    hard = real.sort_values("n_80").iloc[-1]
    return {
        "en": f"With {n:,} respondents the power is at least .80 for "
        + ", ".join(f"{found} of {plural(total, words[0])}" for words, found, total in parts)
        + f" that exist in the population. The hardest to notice, {hard['name']} "
        f"({number(hard['std'], 2)}), needs {hard['n_80']:,.0f}.",
        "zh": f"{n:,} 名受访者时，总体中存在的"
        + "、".join(
            f" {total} {words[1]}中有 {found} {words[1][0]}" for words, found, total in parts
        )
        + f"功效达到 .80。最难发现的 {hard['name']}（{number(hard['std'], 2)}）需要 {hard['n_80']:,.0f} 人。",
    }


@theme.picture
def plot_power(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """Power over the number of respondents: paths left, single effects right, each curve with its name."""
    from matplotlib import pyplot

    words = {"en": ("Paths", "Effects", "respondents", "power", "absent from the population: {}"),
             "zh": ("路径", "效应", "受访者人数", "功效", "总体中不存在：{} 个")}[language]  # fmt: skip
    if result.table.empty:
        return theme.blank(result.text, language)
    table = result.table[~result.table["name"].str.contains("+", regex=False)]
    sides = [
        side
        for side in (table[table["kind"] == "path"], table[table["kind"] != "path"])
        if len(side)
    ]
    labels = max(int(np.isfinite(side.drop_duplicates("name")["n_80"]).sum()) for side in sides)
    figure, axes = pyplot.subplots(
        1, len(sides), figsize=(6 * len(sides), max(4.2, 0.2 * labels + 1)), squeeze=False
    )
    for axis, side, title in zip(axes[0], sides, words, strict=False):
        last, ends, absent = side["n"].max(), [], []
        for name, curve in side.groupby("name", sort=False):
            codes = (
                [code for step in steps(name) for code in step]
                if "->" in name
                else path(name)[::-1]
            )
            there = np.isfinite(curve["n_80"].iloc[0])
            colour = theme.ROLES[study.role(codes[-1])] if there else theme.MUTED
            axis.plot(
                curve["n"],
                curve["power"],
                color=colour,
                lw=1.3,
                ls="-" if there else ":",
                alpha=0.85,
            )
            end = curve["power"].iloc[-1], -curve["n_80"].iloc[0], "→".join(codes), colour
            (ends if there else absent).append(end)
        if absent:
            ends.append(
                (np.mean([end[0] for end in absent]), 0, words[4].format(len(absent)), theme.MUTED)
            )
        ends.sort()
        places = theme.apart([end[0] for end in ends], min(0.045, 1.06 / max(len(ends), 1)), 1.06)
        for (end, _, label, colour), at in zip(ends, places, strict=True):
            axis.plot([last, last * 1.05], [end, at], color=colour, lw=0.5, clip_on=False)
            axis.text(last * 1.06, at, label, color=colour, va="center", fontsize=7.5)
        axis.axhline(0.80, color=theme.INK, lw=0.8, ls="--")
        axis.axvline(result.n_used, color=theme.GRID, lw=4, zorder=0)
        axis.set(
            title=title,
            xlabel=words[2],
            ylabel=words[3],
            ylim=(0, 1.06),
            xlim=(side["n"].min(), last),
        )
        axis.set_yticks(np.linspace(0, 1, 6))
    samples = int(result.table["samples"].min())
    return figure, {
        "en": f"Power over the number of respondents, {samples:,} simulated samples a point. Dashed: power .80; "
              f"grey band: {result.n_used:,} respondents; dotted: nothing to find, the curve is the rate of false alarms. "
              "Colour: the role of the outcome. Names are in the order of the curves on the right. A curve that reaches .80 "
              "left of the band stands for something this study should notice.",
        "zh": f"功效随受访者人数的变化，每点 {samples:,} 个模拟样本。虚线：功效 .80；灰带：{result.n_used:,} 名受访者；点线：总体中不存在，"
              "曲线为误报率。颜色表示结果变量的角色，名称顺序与曲线右端一致。在灰带左侧达到 .80 的曲线，是本研究应能发现的。"}  # fmt: skip
