"""Stage 08, what was measured as it is: group means, and whether an effect depends on something else.

Construct scores are means of answers, so measurement error makes differences and interactions smaller than they are.
Interactions are declared in the study file as hypotheses of kind ``interaction``: ``of: "sat100 ~ er100 * ce100"``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cxlib import show
from cxlib.composites import holm, scores
from cxlib.groups import GROUP, SMALLEST, Comparison, blank, level_name, level_of, nothing, together
from cxlib.show import Result, Text, number, p_text, plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cxlib.study import Study

GROUP_MEANS = ["grouping", "construct", "group", "n", "mean", "sd", "ci_low", "ci_high"]
MEAN_TESTS = ["grouping", "construct", "group_a", "group_b", "difference", "se", "t", "df", "p", "p_adjusted", "hedges_g", "g_low",
              "g_high", "n"]
MODERATION = ["id", "outcome", "driver", "moderator", "est", "se", "ci_low", "ci_high", "p", "p_adjusted", "std", "d_r2", "df", "n",
              "test", "notebook", "note"]
SLOPES = ["outcome", "driver", "moderator", "at", "slope", "se", "ci_low", "ci_high", "p", "y_low", "y_high", "n"]
FEW = {"en": "Fewer than two groups are large enough for means.", "zh": "足够比较均值的组不足两个。"}
FORMULA = re.compile(r"\s*(\w+)\s*~\s*(\w+)\s*[*]\s*(\w+)\s*")


def group_means(compared: Comparison) -> Result:
    """Mean score of every construct in every group, on the scale of its items (grouping, construct, group, n, mean, sd, ci).

    Composites, so errors of measurement and different ways of answering are in them; :func:`latent_means` is without.

    Notes
    -----
    R: ``t.test(x)$conf.int`` for every group.
    """
    from scipy.stats import t

    if len(compared.groups) < 2:
        return nothing(GROUP_MEANS, compared.why_not or FEW)
    found, rows = _scores(compared), []
    for code in found.columns.drop(GROUP):
        for level in compared.groups:
            own = found.loc[found[GROUP] == level, code].dropna()
            half = t.ppf(0.975, len(own) - 1) * own.std() / np.sqrt(len(own))
            rows.append([compared.column, code, level, len(own), own.mean(), own.std(), own.mean() - half, own.mean() + half])
    table = pd.DataFrame(rows, columns=GROUP_MEANS)
    span = table.groupby("construct", sort=False)["mean"].agg(["min", "max"])
    code = (span["max"] - span["min"]).idxmax()
    low, high = (table[(table["construct"] == code)].sort_values("mean")["group"].iloc[at] for at in (0, -1))
    gap = number(span.loc[code, "max"] - span.loc[code, "min"], 2)
    return Result(table, {
        "en": f"The groups lie furthest apart on {compared.study.name(code, 'en')}: {compared.name(high, 'en')} {gap} points above "
              f"{compared.name(low, 'en')}.",
        "zh": f"各组在{compared.study.name(code, 'zh')}上相差最大：{compared.name(high, 'zh')}比{compared.name(low, 'zh')}高 {gap} 分。"},
        len(found), "means of construct scores, t intervals")


def mean_tests(compared: Comparison) -> Result:
    """Every pair of groups on every construct: Welch's t, or Games and Howell's test if there are more than two groups.

    difference is the first less the second; p is Games–Howell's (of two groups Welch's), p_adjusted Holm's over the
    constructs; hedges_g with its 95 % interval.

    Notes
    -----
    Games & Howell (1976), doi:10.3102/10769986001002113; Hedges (1981), doi:10.3102/10769986006002107.
    R: ``t.test(x ~ g)``, ``rstatix::games_howell_test``, ``effectsize::hedges_g`` (its interval is noncentral).
    """
    import pingouin

    if len(compared.groups) < 2:
        return nothing(MEAN_TESTS, compared.why_not or FEW)
    means, parts, flat = _scores(compared), [], []
    for code in means.columns.drop(GROUP):
        own = means[[code, GROUP]].dropna()
        if (own.groupby(GROUP)[code].nunique() < 2).any():
            flat.append(code)
            continue
        place = {level: f"{at:02d}" for at, level in enumerate(compared.groups)}
        found = pingouin.pairwise_gameshowell(own.assign(**{GROUP: own[GROUP].map(place)}), dv=code, between=GROUP, effsize="hedges")
        back, size = {key: level for level, key in place.items()}, own.groupby(GROUP).size()
        a, b = found["A"].map(back), found["B"].map(back)
        ends = [pingouin.compute_esci(g, size[x], size[y], eftype="hedges", decimals=12)
                for g, x, y in zip(found["hedges"], a, b, strict=True)]
        parts.append(pd.DataFrame({"construct": code, "group_a": a, "group_b": b, "difference": found["diff"], "se": found["se"],
                                   "t": found["T"], "df": found["df"], "p": found["pval"], "hedges_g": found["hedges"],
                                   "g_low": [end[0] for end in ends], "g_high": [end[1] for end in ends],
                                   "n": size[a].to_numpy() + size[b].to_numpy()}))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=MEAN_TESTS)
    table = table.assign(grouping=compared.column, p_adjusted=holm(table["p"]) if len(table) else [])[MEAN_TESTS]
    sure, many = int((table["p_adjusted"] < 0.05).sum()), len(compared.groups) > 2
    notes = [{"en": f"{', '.join(flat)}: a group gave one answer throughout, so there is no test.",
              "zh": f"{'、'.join(flat)}：有一组的回答完全相同，无法检验。"}]
    return Result(table, {
        "en": f"{sure} of {plural(len(table), 'difference')} of means are clear after Holm's correction.",
        "zh": f"{len(table)} 个均值差异中有 {sure} 个经 Holm 校正后明确。"}, len(means),
        ("Games–Howell" if many else "Welch's t") + ", Hedges' g", tuple(notes[: bool(flat)]))


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
    ValueError
        A formula cannot be read, or names something the study does not have.

    Notes
    -----
    Least squares with driver and numeric moderator centred at their means; standard errors robust to clusters (CR1) if the
    study has them, else HC3 (MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7).
    R: ``lm(y ~ x * w)`` with ``sandwich::vcovCL`` or ``vcovHC``.
    """
    rows, notes = [], []
    for code, words, where in _declared(study, formulas):
        found = _regression(data.query(where) if where else data, study, words)
        rows.append({"id": code, **found.test})
        notes += found.notes
    if not rows:
        return nothing(MODERATION, {
            "en": "The study declares no interaction (a hypothesis of kind 'interaction'), so no moderation is tested.",
            "zh": "该研究没有声明交互作用（kind 为 interaction 的假设），因此不检验调节作用。"})
    table = pd.DataFrame(rows).assign(notebook="08_groups", note="")
    table["p_adjusted"] = holm(table["p"])
    if table["est"].isna().any():
        notes.append({"en": "A moderator of more than two levels has several product terms: est is empty, p is of all of them.",
                      "zh": "多于两个水平的调节变量有多个乘积项：est 为空，p 为联合检验。"})
    sure = table[table["p_adjusted"] < 0.05]
    form = {"en": "{} × {} ({})", "zh": "{} × {}（{}）"}
    listed = {lang: [form[lang].format(_word(study, row.driver, lang), _word(study, row.moderator, lang), p_text(row.p_adjusted))
                     for row in sure.itertuples()] for lang in form}
    return Result(table[MODERATION], {
        "en": f"{len(sure)} of {plural(len(table), 'interaction')} {'is' if 1 in (len(sure), len(table)) else 'are'} clear after Holm's correction"
              + (f": {'; '.join(listed['en'])}." if len(sure) else "."),
        "zh": f"{len(table)} 个交互作用中有 {len(sure)} 个经 Holm 校正后明确" + (f"：{'；'.join(listed['zh'])}。" if len(sure) else "。")},
        int(table["n"].max()), "least squares with product terms, " + ("cluster-robust (CR1)" if study.cluster else "HC3")
        + " standard errors", together(*notes))


def simple_slopes(data: pd.DataFrame, study: Study, formulas: str = "") -> Result:
    """The slope of each driver where its moderator is low, average and high (mean ± 1 SD), or at each of its levels.

    y_low and y_high: what the model expects of the outcome where the driver is 1 SD below and above its mean.

    Notes
    -----
    Aiken & West (1991), Multiple Regression: Testing and Interpreting Interactions.
    """
    parts, used = [], 0
    for _, words, where in _declared(study, formulas):
        found = _regression(data.query(where) if where else data, study, words)
        parts.append(found.slopes)
        used = max(used, found.test["n"])
    if not parts:
        return nothing(SLOPES, {"en": "No interaction is declared, so there are no simple slopes.",
                                "zh": "没有声明交互作用，因此没有简单斜率。"})
    table = pd.concat(parts, ignore_index=True)[SLOPES]
    groups = table.groupby(["outcome", "driver", "moderator"], sort=False)["slope"]
    span = (groups.max() - groups.min()) / groups.mean().abs()
    outcome, driver, moderator = span.idxmax()
    own = table[(table["outcome"] == outcome) & (table["driver"] == driver) & (table["moderator"] == moderator)]
    low, high = own.loc[own["slope"].idxmin()], own.loc[own["slope"].idxmax()]
    said = {lang: (_word(study, driver, lang), _word(study, outcome, lang), _word(study, moderator, lang),
                   _at(study, moderator, low["at"], lang), _at(study, moderator, high["at"], lang)) for lang in ("en", "zh")}
    return Result(table, {
        "en": f"The slope of {said['en'][0]} on {said['en'][1]} runs from {number(low['slope'], 2)} ({said['en'][2]}: {said['en'][3]}) to "
              f"{number(high['slope'], 2)} ({said['en'][4]}).",
        "zh": f"{said['zh'][0]}对{said['zh'][1]}的斜率从 {number(low['slope'], 2)}（{said['zh'][2]}：{said['zh'][3]}）到 "
              f"{number(high['slope'], 2)}（{said['zh'][4]}）。"}, used, "simple slopes", ())


@show.picture
def plot_slopes(result: Result, study: Study, *, language: str = "en") -> tuple[Figure, Text]:
    """One panel an interaction: the expected outcome over the driver, a line for each value of the moderator."""
    from matplotlib import pyplot

    table = result.table
    if not len(table):
        return blank(result.text, language)
    panels = list(table.groupby(["outcome", "driver", "moderator"], sort=False))
    across = min(len(panels), 2)
    down = -(-len(panels) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(5.2 * across, 3.6 * down), squeeze=False)
    for axis in axes.flat[len(panels):]:
        axis.set_axis_off()
    for axis, ((outcome, driver, moderator), lines) in zip(axes.flat, panels, strict=False):
        rows = lines.sort_values("y_high")
        low, high = rows[["y_low", "y_high"]].min().min(), rows[["y_low", "y_high"]].max().max()
        place = rows["y_high"].to_numpy(copy=True)
        for at in range(1, len(place)):
            place[at] = max(place[at], place[at - 1] + 0.07 * (high - low))
        place += (rows["y_high"] - place).mean()
        axis.set_ylim(min(low, place[0]) - 0.05 * (high - low), max(high, place[-1]) + 0.05 * (high - low))
        for row, y in zip(rows.itertuples(), place, strict=True):
            axis.plot([-1, 1], [row.y_low, row.y_high], color=show.ROLES["service"], linewidth=1.8, alpha=0.8)
            axis.plot([1, 1.2], [row.y_high, y], color=show.MUTED, linewidth=0.6)
            axis.annotate(f"{_at(study, moderator, row.at, language)}: {number(row.slope, 2)}", (1.25, y), va="center", fontsize=8)
        axis.set_xlim(-1.1, 2.3)
        axis.set_xticks([-1, 0, 1], {"en": ["−1 SD", "mean", "+1 SD"], "zh": ["−1 SD", "均值", "+1 SD"]}[language])
        axis.set_xlabel(_word(study, driver, language))
        axis.set_ylabel(_word(study, outcome, language))
        axis.set_title(_word(study, moderator, language), fontsize=10)
    return figure, {
        "en": f"What the model expects of the outcome as the driver grows, a line for each value of the moderator (the title) with its "
              f"slope; n up to {result.n_used:,}. Parallel lines: no moderation.",
        "zh": f"驱动变量增大时结果变量的预测值，每条线对应调节变量（标题）的一个取值并标出斜率；n 最多 {result.n_used:,}。平行线表示没有调节。"}


def differences(data: pd.DataFrame, study: Study) -> Result:
    """Hypotheses that a score differs between the levels of a column (of kind "differences"): Welch's analysis of variance.

    Notes
    -----
    Welch (1951), doi:10.1093/biomet/38.3-4.330.  R: ``oneway.test(y ~ g)``.
    """
    import pingouin

    rows = []
    for code, hypothesis in study.hypotheses.items():
        if hypothesis.kind != "differences":
            continue
        outcome, column = (part.strip() for part in hypothesis.of.split(" by "))
        frame = data.query(hypothesis.where) if hypothesis.where else data
        own = pd.DataFrame({"y": variable(frame, study, outcome), "g": frame[column]}).dropna()
        size = own.groupby("g")["y"].transform("size")
        test = pingouin.welch_anova(own[size >= 2], dv="y", between="g").iloc[0]
        rows.append({"id": code, "outcome": outcome, "by": column, "f": test["F"], "df": test["ddof1"], "df_error": test["ddof2"],
                     "p": test["p_unc"], "n": len(own), "test": f"Welch's F({test['ddof1']:.0f}, {test['ddof2']:.0f}) = {test['F']:.2f}",
                     "notebook": "08_groups", "note": ""})
    names = ["id", "outcome", "by", "f", "df", "df_error", "p", "n", "test", "notebook", "note"]
    table = pd.DataFrame(rows, columns=names)
    return Result(table, {"en": f"{plural(len(table), 'hypothesis', 'hypotheses')} about differences between the levels of a column.",
                          "zh": f"关于各水平差异的假设共 {len(table)} 个。"}, int(table["n"].max()) if len(table) else 0, "Welch's F")


def variable(data: pd.DataFrame, study: Study, name: str) -> pd.Series:
    """A score (0–100, as the study declares it), a construct's mean, or a column as it is.

    Raises
    ------
    ValueError
        The study has none of this name.
    """
    if name in study.scores:
        own, parts = scores(data, study), []
        for code in study.scores[name]:
            low, high = study.scale_of(code if code in study.items else next(iter(study.constructs[code].items)))
            parts.append(100 * ((data[code] if code in study.items else own[code]) - low) / (high - low))
        return pd.concat(parts, axis=1).mean(axis=1, skipna=False)
    if name in study.constructs:
        return scores(data, study)[name]
    if name in data:
        return data[name]
    raise ValueError(f"'{name}' is not a score, construct or column of the study '{study.id}'. Scores: {', '.join(study.scores) or 'none'}; "
                     f"constructs: {', '.join(study.constructs)}; columns: {', '.join(study.columns)}.")


class _Regression(NamedTuple):
    """The test of an interaction, its simple slopes, and what to beware of."""

    test: dict
    slopes: pd.DataFrame
    notes: list[Text]


def _declared(study: Study, formulas: str) -> list[tuple[str, str, str]]:
    """(id, formula, where) of every interaction to test."""
    out = [(code, h.of, h.where) for code, h in study.hypotheses.items() if h.kind == "interaction"]
    return out + [("", words.strip(), "") for words in formulas.split(";") if words.strip()]


def _regression(data: pd.DataFrame, study: Study, words: str) -> _Regression:
    """Fit y ~ x * w."""
    from scipy.stats import f, t

    if not (read := FORMULA.fullmatch(words)):
        raise ValueError(f"The interaction '{words}' cannot be read. Write 'outcome ~ driver * moderator'.")
    outcome, driver, moderator = read.groups()
    frame = pd.DataFrame({"y": variable(data, study, outcome), "x": variable(data, study, driver), "w": variable(data, study, moderator)})
    if not pd.api.types.is_numeric_dtype(frame["x"]) and pd.api.types.is_numeric_dtype(frame["w"]):
        frame, driver, moderator = frame.rename(columns={"x": "w", "w": "x"}), moderator, driver
    if not all(pd.api.types.is_numeric_dtype(frame[name]) for name in "yx"):
        raise ValueError(f"The interaction '{words}' needs an outcome and a driver that are numbers. Only the moderator may be a category.")
    cluster = data[study.cluster] if study.cluster else None
    good = frame.notna().all(axis=1) & (True if cluster is None else cluster.notna())
    frame, notes = frame[good], []
    declared = study.columns.get(moderator)
    category = not pd.api.types.is_numeric_dtype(frame["w"]) or (declared is not None and declared.kind in ("category", "flag"))
    if category:
        own = pd.Series([level_of(value) for value in frame["w"]], frame.index)
        count = own.value_counts()
        few = count.index[count < SMALLEST]
        if len(few):
            notes.append({"en": f"{words}: {', '.join(sorted(few))} have fewer than {SMALLEST} respondents and were left out.",
                          "zh": f"{words}：{'、'.join(sorted(few))} 不足 {SMALLEST} 人，已剔除。"})
        frame, own = frame[~own.isin(few)], own[~own.isin(few)]
        order = [*(level for level in (declared.levels if declared else ()) if level in set(own)),
                 *sorted(set(own) - set(declared.levels if declared else ()))]
        if len(order) < 2:
            raise ValueError(f"The moderator '{moderator}' of '{words}' has fewer than two levels with {SMALLEST} respondents.")
        w = np.column_stack([(own == level).to_numpy(float) for level in order[1:]])
        values = np.eye(len(order))[:, 1:]
    else:
        spread = frame["w"].std()
        w, order = (frame["w"] - frame["w"].mean()).to_numpy(float)[:, None], ["-1 SD", "mean", "+1 SD"]
        values = np.array([[-spread], [0.0], [spread]])
    y, sd, k = frame["y"].to_numpy(float), frame["x"].std(), w.shape[1]
    x = (frame["x"] - frame["x"].mean()).to_numpy(float)
    design = np.column_stack([np.ones(len(y)), x, w, w * x[:, None]])
    b, cov, df = _least_squares(design, y, None if cluster is None else cluster[frame.index].to_numpy())
    last = slice(2 + k, 2 + 2 * k)
    statistic = float(b[last] @ np.linalg.solve(cov[last, last], b[last])) / k
    p, se, single = float(f.sf(statistic, k, df)), float(np.sqrt(cov[-1, -1])), k == 1
    half = t.ppf(0.975, df) * se
    bare = design[:, : 2 + k]
    rest = y - bare @ np.linalg.lstsq(bare, y, rcond=None)[0]
    gain = (rest @ rest - ((y - design @ b) ** 2).sum()) / ((y - y.mean()) ** 2).sum()
    unit = (1 if category else frame["w"].std()) * sd / y.std(ddof=1)
    test = {"outcome": outcome, "driver": driver, "moderator": moderator, "est": b[-1] if single else np.nan, "se": se if single else np.nan,
            "ci_low": b[-1] - half if single else np.nan, "ci_high": b[-1] + half if single else np.nan, "p": p,
            "std": b[-1] * unit if single else np.nan, "d_r2": gain, "df": k, "n": len(y),
            "test": f"interaction, F({k}, {df}) = {statistic:.2f}"}
    rows = []
    for name, value in zip(order, values, strict=True):
        pick = np.concatenate([[0.0, 1.0], np.zeros(k), value])
        slope, error, level = pick @ b, np.sqrt(pick @ cov @ pick), b[0] + value @ b[2 : 2 + k]
        rows.append([outcome, driver, moderator, name, slope, error, slope - t.ppf(0.975, df) * error, slope + t.ppf(0.975, df) * error,
                     2 * t.sf(abs(slope / error), df), level - slope * sd, level + slope * sd, len(y)])
    return _Regression(test, pd.DataFrame(rows, columns=SLOPES), notes)


def _least_squares(design: np.ndarray, y: np.ndarray, cluster: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Coefficients, their robust covariances (CR1 by cluster, else HC3), and the degrees of freedom of t."""
    bread = np.linalg.inv(design.T @ design)
    b = bread @ design.T @ y
    error, (n, p) = y - design @ b, design.shape
    if cluster is None:
        leverage = np.einsum("ij,jk,ik->i", design, bread, design)
        score = design * (error / (1 - leverage))[:, None]
        return b, bread @ score.T @ score @ bread, n - p
    score = pd.DataFrame(design * error[:, None]).groupby(cluster).sum().to_numpy()
    count = len(score)
    return b, bread @ score.T @ score @ bread * count / (count - 1) * (n - 1) / (n - p), count - 1


def _word(study: Study, name: str, language: str) -> str:
    """The words for a score, construct or column; a score of one construct goes by its name."""
    codes = study.scores.get(name, ())
    return study.name(codes[0], language) if len(codes) == 1 else study.name(name, language)


def _at(study: Study, moderator: str, value: str, language: str) -> str:
    """The words for a value of a moderator."""
    return level_name(study, moderator, value, language) if moderator in study.columns else value.replace("mean", "均值" if language == "zh" else "mean")


def _scores(compared: Comparison) -> pd.DataFrame:
    """Construct scores of the rows whose group is large enough for means, and the group."""
    rows = compared.data[compared.data[GROUP].isin(compared.groups)]
    return scores(rows, compared.study)[compared.study.model_constructs(compared.model)].assign(**{GROUP: rows[GROUP]})
