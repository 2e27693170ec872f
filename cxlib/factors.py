"""Which factors the items form by themselves: factorability, number of factors, exploratory factor analysis.

Everything rests on the correlations of the complete rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from cxlib import show
from cxlib.show import Result

if TYPE_CHECKING:
    from cxlib.study import Study

CROSS_LOADING = 0.32
"""A second loading from here up (10 % shared variance) is flagged (Tabachnick and Fidell 2013); a rule of thumb."""
KMO_FLOOR = 0.50
"""Kaiser (1974) called a KMO below this unacceptable."""

EXACT = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "maxcor": 30}
"""L-BFGS-B runs until the gradient vanishes or no step lowers the function any more."""

Extraction = Literal["minres", "ml", "pa"]
Rotation = Literal["oblimin", "promax", "varimax", "none"]


@dataclass(frozen=True)
class EFA:
    """An exploratory factor solution.

    loadings : items × factors, the pattern; structure : correlations of items with factors;
    correlations : of the factors; communality : of the items; variance : factor, ss_loadings, proportion,
    cumulative; cross : item, first, second, loading, second_loading of the flagged items; heywood : items
    whose communality reaches its bound; rmsr : root mean square residual correlation; converged : whether
    the extraction reached its optimum; n_used : rows; method : the exact name.
    """

    loadings: pd.DataFrame
    structure: pd.DataFrame
    correlations: pd.DataFrame
    communality: pd.Series
    variance: pd.DataFrame
    cross: pd.DataFrame
    heywood: tuple[str, ...]
    rmsr: float
    converged: bool
    n_used: int
    method: str


@dataclass(frozen=True)
class FactorNumber(Result):
    """How many factors, with the eigenvalues behind it (factor, observed, random)."""

    eigenvalues: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Loadings(Result):
    """The loadings of a study's items, with the whole solution behind them."""

    efa: EFA | None = None


def kmo(frame: pd.DataFrame) -> tuple[float, pd.Series]:
    """Kaiser–Meyer–Olkin measure of sampling adequacy, overall and of each item.

    Σr²/(Σr² + Σq²) over pairs, q the partial correlations given all other items (Kaiser and Rice 1974,
    doi:10.1177/001316447403400115).

    Parameters
    ----------
    frame : DataFrame
        Items only; rows with a missing answer are left out.

    Returns
    -------
    (float, Series)
        Between 0 and 1, high if few factors may underlie the items.

    Raises
    ------
    ValueError
        Items constant, identical, linearly dependent or not numeric, or rows no more than items.

    Notes
    -----
    R: ``psych::KMO(frame)``.
    """
    r = complete(frame).corr().to_numpy()
    inverse = np.linalg.inv(r)
    scale = np.sqrt(np.diag(inverse))
    r2, q2 = (np.where(np.eye(len(r)) > 0, 0, m**2) for m in (r, inverse / np.outer(scale, scale)))
    each = r2.sum(axis=0) / (r2.sum(axis=0) + q2.sum(axis=0))
    return float(r2.sum() / (r2.sum() + q2.sum())), pd.Series(each, index=frame.columns, name="kmo")


def bartlett(frame: pd.DataFrame) -> tuple[float, int, float]:
    """Bartlett's test that the items are uncorrelated: χ² = −(n − 1 − (2p+5)/6) log|R|, its df and p.

    Parameters
    ----------
    frame : DataFrame
        Items only (Bartlett 1951, doi:10.1093/biomet/38.3-4.337).

    Raises
    ------
    ValueError
        As :func:`kmo`.

    Notes
    -----
    R: ``psych::cortest.bartlett(cor(frame), n)``.
    """
    from scipy.stats import chi2

    rows = complete(frame)
    n, p = rows.shape
    value = float(-np.linalg.slogdet(rows.corr())[1] * (n - 1 - (2 * p + 5) / 6))
    df = p * (p - 1) // 2
    return value, df, float(chi2.sf(value, df))


def parallel(frame: pd.DataFrame, rng: np.random.Generator, draws: int = 500, quantile: float = 0.95,
             method: Literal["pca", "fa"] = "pca") -> pd.DataFrame:
    """Parallel analysis: observed eigenvalues beside those of uncorrelated normal items of the same size.

    As many factors are retained as lead in an unbroken run above the quantile of the random ones (Horn 1965,
    doi:10.1007/BF02289447; Glorfeld 1995, doi:10.1177/0013164495055003002).

    Parameters
    ----------
    frame : DataFrame
        Items only.
    rng : Generator
        Source of the random data.
    draws : int
        Random data sets.
    quantile : float
        Quantile of the random eigenvalues to beat.
    method : {"pca", "fa"}
        Eigenvalues of the correlations, or of the correlations with one-factor minres communalities on the diagonal.

    Returns
    -------
    DataFrame
        factor, observed, random (the quantile).

    Raises
    ------
    ValueError
        As :func:`kmo`, or an unknown method.

    Notes
    -----
    R: ``psych::fa.parallel(frame, fa = "pc", sim = TRUE, quant = .95)$pc.values`` (``"fa"``: ``$fa.values``).
    """
    if method not in ("pca", "fa"):
        raise ValueError(f"method='{method}' is unknown. Allowed: 'pca', 'fa'.")
    rows = complete(frame)
    n, p = rows.shape
    noise = np.array([np.corrcoef(rng.standard_normal((n, p)), rowvar=False) for _ in range(draws)])
    observed, random = _spectrum(rows.corr().to_numpy()[None], method)[0], _spectrum(noise, method)
    return pd.DataFrame({"factor": np.arange(1, p + 1), "observed": observed,
                         "random": np.quantile(random, quantile, axis=0)})


def map_test(frame: pd.DataFrame) -> pd.DataFrame:
    """Velicer's minimum average partial: mean squared partial correlation after 0, 1, 2 … components.

    The number of factors is where it is smallest (Velicer 1976, doi:10.1007/BF02293557); map4 averages fourth
    powers (Velicer, Eaton and Fava 2000).

    Parameters
    ----------
    frame : DataFrame
        Items only.

    Returns
    -------
    DataFrame
        factors, map, map4.

    Raises
    ------
    ValueError
        As :func:`kmo`.

    Notes
    -----
    R: ``psych::vss(frame)$map`` (which starts at one component).
    """
    r = complete(frame).corr().to_numpy()
    p = len(r)
    values, vectors = np.linalg.eigh(r)
    parts = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]
    out = []
    for m in range(p - 1):
        rest = r - parts[:, :m] @ parts[:, :m].T
        scale = np.sqrt(np.diag(rest))
        off = (rest / np.outer(scale, scale))[~np.eye(p, dtype=bool)]
        out.append((m, (off**2).mean(), (off**4).mean()))
    return pd.DataFrame(out, columns=["factors", "map", "map4"])


def efa(frame: pd.DataFrame, factors: int, method: Extraction = "minres", rotation: Rotation = "oblimin",
        kaiser: bool | None = None) -> EFA:
    """Exploratory factor analysis of the correlations.

    Extraction runs to full convergence: "minres" minimises the squared residual correlations, "ml" is maximum
    likelihood, "pa" iterates principal axes (and ends where minres does).  Columns are ordered by the variance
    they explain and signed to a positive sum of loadings.

    Parameters
    ----------
    frame : DataFrame
        Items only; rows with a missing answer are left out.
    factors : int
        How many.
    method : {"minres", "ml", "pa"}
        Extraction.
    rotation : {"oblimin", "promax", "varimax", "none"}
        Direct quartimin (oblimin with γ = 0), promax with power 4, varimax, or none.
    kaiser : bool, optional
        Rows scaled to unit length while rotating.  By default as psych: yes for varimax and promax, no for
        oblimin (SPSS normalises that too).

    Returns
    -------
    EFA

    Raises
    ------
    ValueError
        As :func:`kmo`, too many factors for the number of items, or an unknown method or rotation.

    Notes
    -----
    R: ``psych::fa(frame, factors, fm = "minres", rotate = "oblimin")``, whose default tolerances stop at about
    four digits (Harman and Jones 1966, doi:10.1007/BF02289468; Jennrich 2002, doi:10.1007/BF02294706).
    """
    for value, allowed, name in ((method, ("minres", "ml", "pa"), "method"),
                                 (rotation, ("oblimin", "promax", "varimax", "none"), "rotation")):
        if value not in allowed:
            raise ValueError(f"{name}='{value}' is unknown. Allowed: {', '.join(allowed)}.")
    rows = complete(frame)
    n, p = rows.shape
    most = int(np.floor(p + 0.5 - np.sqrt(2 * p + 0.25)))
    if not 1 <= factors <= most:
        raise ValueError(f"factors={factors} is not possible with {p} items: allowed are 1 to {most}, beyond which the model "
                         "has more unknowns than correlations.")
    r = rows.corr().to_numpy()
    unique, converged = _extract(r, factors, method)
    raw = _axes(r, unique, factors, method)
    raw = raw * np.where(raw.sum(axis=0) < 0, -1, 1)
    pattern, phi = rotate(raw, rotation, kaiser)
    explained = np.diag(phi @ pattern.T @ pattern)
    order = np.argsort(-explained, kind="stable")
    sign = np.where(pattern.sum(axis=0) < 0, -1, 1)[order]
    pattern, phi, explained = pattern[:, order] * sign, phi[np.ix_(order, order)] * np.outer(sign, sign), explained[order]
    names, items = [f"F{j + 1}" for j in range(factors)], list(frame.columns)
    communality = (raw**2).sum(axis=1)
    residual = (r - raw @ raw.T)[~np.eye(p, dtype=bool)]
    size = np.sort(np.abs(pattern), axis=1)
    first, second = (np.argsort(-np.abs(pattern), axis=1, kind="stable")[:, min(j, factors - 1)] for j in (0, 1))
    flagged = np.flatnonzero(size[:, -2] >= CROSS_LOADING) if factors > 1 else []
    cross = pd.DataFrame([(items[i], names[first[i]], names[second[i]], pattern[i, first[i]], pattern[i, second[i]])
                          for i in flagged], columns=["item", "first", "second", "loading", "second_loading"])
    normal = rotation in ("varimax", "promax") if kaiser is None else kaiser
    return EFA(
        pd.DataFrame(pattern, items, names), pd.DataFrame(pattern @ phi, items, names), pd.DataFrame(phi, names, names),
        pd.Series(communality, items, name="communality"),
        pd.DataFrame({"factor": names, "ss_loadings": explained, "proportion": explained / p,
                      "cumulative": explained.cumsum() / p}),
        cross, tuple(np.array(items)[communality > 1 - 0.0051]), float(np.sqrt((residual**2).mean())), converged, n,
        f"{method} extraction, " + ("no rotation" if rotation == "none" or factors == 1 else
                                    f"{rotation} rotation {'with' if normal else 'without'} Kaiser normalisation"))


def rotate(loadings: np.ndarray, rotation: Rotation, kaiser: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rotate loadings (items × factors); returns the pattern and the factor correlations.

    Raises
    ------
    RuntimeError
        If the rotation does not converge.
    """
    m = loadings.shape[1]
    if m == 1 or rotation == "none":
        return loadings, np.eye(m)
    if kaiser is None:
        kaiser = rotation != "oblimin"
    scale = np.sqrt((loadings**2).sum(axis=1, keepdims=True)) if kaiser else 1.0
    a = loadings / scale
    if rotation == "oblimin":
        t = _oblimin(a)
        return scale * (a @ np.linalg.inv(t).T), t.T @ t
    pattern = a @ _varimax(a)
    if rotation == "varimax":
        return scale * pattern, np.eye(m)
    u = np.linalg.lstsq(pattern, pattern * np.abs(pattern) ** 3, rcond=None)[0]
    u = u * np.sqrt(np.diag(np.linalg.inv(u.T @ u)))
    back = np.linalg.inv(u)
    return scale * (pattern @ u), back @ back.T


def factorability(data: pd.DataFrame, study: Study, items: Sequence[str] | None = None) -> Result:
    """Whether the items share enough to be factored: KMO and Bartlett's test.

    Parameters
    ----------
    data : DataFrame
        Cleaned responses.
    study : Study
        Declares the items.
    items : sequence of str, optional
        All items of the study by default.

    Returns
    -------
    Result
        statistic (kmo, bartlett_chisq, bartlett_df, bartlett_p), value.

    Raises
    ------
    ValueError
        As :func:`kmo`.
    """
    frame = _frame(data, study, items)
    value, each = kmo(frame)
    chisq, df, p = bartlett(frame)
    table = pd.DataFrame({"statistic": ["kmo", "bartlett_chisq", "bartlett_df", "bartlett_p"],
                          "value": [value, chisq, float(df), p]})
    n = len(frame.dropna())
    grades = ((0.9, "marvellous", "极佳"), (0.8, "meritorious", "良好"), (0.7, "middling", "中等"), (0.6, "mediocre", "普通"),
              (0.5, "miserable", "欠佳"), (-1, "unacceptable", "不可接受"))
    _, en, zh = next(g for g in grades if value >= g[0])
    text = {"en": f"The KMO of {frame.shape[1]} items is {value:.2f}, {en} in Kaiser's (1974) words; Bartlett's test: "
                  f"χ²({df}) = {chisq:.1f}, {show.p_text(p)}.",
            "zh": f"{frame.shape[1]} 个题项的 KMO 为 {value:.2f},按 Kaiser(1974)属“{zh}”;Bartlett 球形检验 χ²({df}) = "
                  f"{chisq:.1f},{show.p_text(p)}。"}
    warnings = _dropped(frame)
    low = [f"{item} ({v:.2f})" for item, v in each.items() if v < KMO_FLOOR]
    if low:
        warnings.append({"en": f"KMO below .50: {', '.join(low)}; these items share little with the others.",
                         "zh": f"KMO 低于 .50:{', '.join(low)};这些题项与其余题项共享甚少。"})
    return Result(table, text, n, "KMO (Kaiser and Rice 1974); Bartlett 1951; listwise", tuple(warnings))


def kmo_items(data: pd.DataFrame, study: Study, items: Sequence[str] | None = None) -> Result:
    """KMO of each item: item, kmo.  Parameters and errors as :func:`factorability`."""
    frame = _frame(data, study, items)
    _, each = kmo(frame)
    low = each.idxmin()
    text = {"en": f"The lowest item KMO is {each[low]:.2f} ({low}).", "zh": f"题项 KMO 最低为 {each[low]:.2f}({low})。"}
    return Result(each.rename_axis("item").reset_index(), text, len(frame.dropna()), "KMO by item (Kaiser and Rice 1974)",
                  tuple(_dropped(frame)))


def factor_number(data: pd.DataFrame, study: Study, rng: np.random.Generator, items: Sequence[str] | None = None,
                  draws: int = 500) -> FactorNumber:
    """How many factors: parallel analysis, Velicer's MAP, and Kaiser's eigenvalue rule as a foil.

    Parameters
    ----------
    data, study, items
        As :func:`factorability`.
    rng : Generator
        Source of the random data of parallel analysis.
    draws : int
        Random data sets.

    Returns
    -------
    FactorNumber
        criterion (parallel, map, kaiser), factors; ``.eigenvalues`` has factor, observed, random.

    Raises
    ------
    ValueError
        As :func:`kmo`.
    """
    frame = _frame(data, study, items)
    roots, partial = parallel(frame, rng, draws), map_test(frame)
    counts = {"parallel": int((roots["observed"] > roots["random"]).cummin().sum()),
              "map": int(partial.loc[partial["map"].idxmin(), "factors"]), "kaiser": int((roots["observed"] > 1).sum())}
    table = pd.DataFrame({"criterion": list(counts), "factors": list(counts.values())})
    declared = len({study.items[i] for i in frame.columns})
    text = {"en": f"Parallel analysis finds {show.plural(counts['parallel'], 'factor')} and Velicer's MAP {counts['map']}; the "
                  f"study declares {show.plural(declared, 'construct')}. Eigenvalues above 1 would give {counts['kaiser']}, a "
                  "rule that tends to overstate.",
            "zh": f"平行分析得到 {counts['parallel']} 个因子,Velicer MAP 得到 {counts['map']} 个;研究声明了 {declared} 个构念。"
                  f"特征值大于 1 的准则给出 {counts['kaiser']} 个,该准则往往高估。"}
    warnings = _dropped(frame)
    if counts["parallel"] != declared:
        warnings.append({"en": f"The answers show {counts['parallel']} dimensions, not the {declared} declared: constructs may be "
                               "hard to tell apart. Check discriminant validity in the measurement model.",
                         "zh": f"数据显示 {counts['parallel']} 个维度,而非声明的 {declared} 个:构念可能难以区分,请在测量模型中检验"
                               "区分效度。"})
    return FactorNumber(table, text, len(frame.dropna()), f"Horn's parallel analysis (components, {draws} normal samples, 95% "
                        "quantile); Velicer's MAP; Kaiser's rule", tuple(warnings), roots)


def loadings(data: pd.DataFrame, study: Study, factors: int | None = None, items: Sequence[str] | None = None,
             method: Extraction = "minres", rotation: Rotation = "oblimin") -> Loadings:
    """Exploratory loadings of a study's items, factors named by the construct whose items they carry.

    Parameters
    ----------
    data, study, items
        As :func:`factorability`.
    factors : int, optional
        How many; as many as constructs by default.  Pass the answer of :func:`factor_number`.
    method, rotation
        As :func:`efa`.

    Returns
    -------
    Loadings
        item, one column a factor, communality; ``.efa`` is the whole solution.

    Raises
    ------
    ValueError
        As :func:`efa`.
    """
    frame = _frame(data, study, items)
    solution = efa(frame, factors or len({study.items[i] for i in frame.columns}), method, rotation)
    solution = _rename(solution, _names(solution.loadings, study))
    table = solution.loadings.rename_axis("item").reset_index().assign(communality=solution.communality.to_numpy())
    home = solution.loadings.abs().idxmax(axis=1)
    named = {f for f in solution.loadings if f in study.constructs}
    stray = [i for i in frame.columns if study.items[i] in named and home[i] != study.items[i]]
    total = solution.variance["cumulative"].iloc[-1]
    text = {"en": f"{show.plural(solution.loadings.shape[1], 'factor')} account for {total:.0%} of the variance of "
                  f"{len(table)} items; {len(stray) or 'no'} item{'' if len(stray) == 1 else 's'} load"
                  f"{'s' if len(stray) == 1 else ''} highest away from the factor named after "
                  f"{'its' if len(stray) == 1 else 'their'} construct{': ' + ', '.join(stray) if stray else ''}.",
            "zh": f"{solution.loadings.shape[1]} 个因子解释 {len(table)} 个题项方差的 {total:.0%};"
                  f"{f'{len(stray)} 个题项' if stray else '没有题项'}在非所属构念的因子上载荷最高"
                  f"{':' + ', '.join(stray) if stray else ''}。"}
    return Loadings(table, text, solution.n_used, solution.method, tuple(_dropped(frame) + _flags(solution)), solution)


def factor_correlations(result: Loadings) -> Result:
    """Correlations of the factors of a solution: factor, one column a factor."""
    r = result.efa.correlations
    off = r.to_numpy()[np.triu_indices(len(r), 1)]
    high = float(np.abs(off).max()) if len(off) else np.nan
    text = {"en": f"The highest correlation between factors is {show.number(high, 2)} in absolute value.",
            "zh": f"因子间相关绝对值最高为 {show.number(high, 2)}。"}
    return Result(r.rename_axis("factor").reset_index(), text, result.n_used, result.method)


def halves(data: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two random halves of the rows: one to explore, one to confirm; the first has the odd row.

    Raises
    ------
    ValueError
        Fewer than two rows.
    """
    if len(data) < 2:
        raise ValueError(f"{len(data)} row(s) cannot be split in two.")
    order = rng.permutation(len(data))
    cut = (len(data) + 1) // 2
    return data.iloc[np.sort(order[:cut])], data.iloc[np.sort(order[cut:])]


@show.picture
def plot_scree(result: FactorNumber, study: Study, *, language: str = "en"):
    """Observed eigenvalues beside random ones, with the number retained."""
    from matplotlib import pyplot

    roots, zh = result.eigenvalues, language == "zh"
    kept = int(result.table.set_index("criterion").loc["parallel", "factors"])
    figure, axes = pyplot.subplots(figsize=(7, 4))
    x, seen, random = roots["factor"], roots["observed"], roots["random"]
    axes.plot(x, random, color=show.MUTED, linestyle=(0, (4, 3)), linewidth=1.5)
    axes.plot(x, seen, color=show.GRID, linewidth=1.5, zorder=1)
    axes.plot(x[:kept], seen[:kept], "o", color=show.ROLES["service"], markersize=7)
    axes.plot(x[kept:], seen[kept:], "o", markerfacecolor="white", markeredgecolor=show.MUTED, markersize=5)
    axes.annotate("随机数据(95% 分位)" if zh else "random data (95% quantile)", (x.iloc[-1], random.iloc[-1]), (0, 14),
                  textcoords="offset points", ha="right", color=show.MUTED, fontsize=9)
    if kept:
        axes.annotate(f"保留 {kept} 个" if zh else f"{kept} retained", (x[kept - 1], seen[kept - 1]), (22, 24),
                      textcoords="offset points", color=show.ROLES["service"], fontweight="bold",
                      arrowprops={"arrowstyle": "-", "color": show.ROLES["service"]})
    axes.set(xlabel="因子序号" if zh else "factor", ylabel="特征值" if zh else "eigenvalue", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    n = f"{result.n_used:,}"
    return figure, {
        "en": f"Eigenvalues of the {len(x)} items' correlations (n = {n}). Filled dots lie above what random data of the same "
              f"size give, so {show.plural(kept, 'factor')} {'is' if kept == 1 else 'are'} retained.",
        "zh": f"{len(x)} 个题项相关矩阵的特征值(n = {n})。实心点高于同规模随机数据,因此保留 {kept} 个因子。"}


@show.picture
def plot_loadings(result: Loadings, study: Study, *, language: str = "en"):
    """Heat map of the loadings, items sorted by construct and coloured by its role."""
    import seaborn
    from matplotlib import pyplot

    zh, pattern = language == "zh", result.efa.loadings
    pattern = pattern[[f for f in study.constructs if f in pattern] + [f for f in pattern if f not in study.constructs]]
    pattern = pattern.loc[[i for i in study.items if i in pattern.index]]
    figure, axes = pyplot.subplots(figsize=(2.2 + 0.85 * pattern.shape[1], 1.6 + 0.24 * len(pattern)))
    seaborn.heatmap(pattern, ax=axes, cmap="vlag", center=0, vmin=-1, vmax=1, annot=True, fmt=".2f", cbar=False,
                    annot_kws={"fontsize": 7}, linewidths=0.5, linecolor="white")
    for cell, value in zip(axes.texts, pattern.to_numpy().ravel(), strict=True):
        cell.set_text(f"{value:.2f}".replace("-", "−") if abs(value) >= 0.2 else "")
    owner = [study.items[i] for i in pattern.index]
    for y in range(1, len(owner)):
        if owner[y] != owner[y - 1]:
            axes.axhline(y, color=show.INK, linewidth=0.8)
    for tick, code in zip(axes.get_yticklabels(), owner, strict=True):
        tick.set_color(show.ROLES[study.role(code)])
    axes.set_xticklabels([study.name(f, language) for f in pattern], rotation=30, ha="left", rotation_mode="anchor", fontsize=8)
    axes.tick_params(axis="y", labelrotation=0, labelsize=8, length=0)
    axes.xaxis.tick_top()
    axes.set(xlabel="", ylabel="")
    n = f"{result.n_used:,}"
    return figure, {
        "en": f"Factor loadings ({result.method}, n = {n}); those below .20 are left blank. Factors bear the name of the construct "
              "whose items they carry; items of one construct stand between two lines. Look for items that sit elsewhere.",
        "zh": f"因子载荷({result.method},n = {n});绝对值小于 .20 的不标。因子以其所承载题项的构念命名,同一构念的题项位于两条横线之间。"
              "请留意落在别处的题项。"}


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The complete rows of the items as floats.

    Raises
    ------
    ValueError
        Fewer than three items, not numeric, constant, identical or dependent, or rows no more than items.
    """
    text = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    if text:
        raise ValueError(f"Items {', '.join(text)} are not numeric. Code the answers as numbers first.")
    if frame.shape[1] < 3:
        raise ValueError(f"There are {frame.shape[1]} items: {list(frame.columns)}. Factoring needs at least 3.")
    rows = frame.astype(float).dropna()
    n, p = rows.shape
    if n <= p:
        raise ValueError(f"Only {n} of {len(frame)} rows are complete, for {p} items. More rows than items are needed; take "
                         "fewer items or look at the missing answers.")
    spread = rows.max() - rows.min()
    if (spread == 0).any():
        raise ValueError(f"Item(s) {', '.join(map(str, spread.index[spread == 0]))} have the same answer in all {n} complete "
                         "rows, so they have no correlations. Leave them out.")
    r = rows.corr().to_numpy()
    pairs = [f"{frame.columns[i]} and {frame.columns[j]}" for i, j in zip(*np.triu_indices(p, 1), strict=True)
             if abs(r[i, j]) > 1 - 1e-12]
    if pairs:
        raise ValueError(f"Identical (or mirrored) items: {'; '.join(pairs)}. Their correlation matrix is singular. Perhaps a "
                         "column was copied; leave one out.")
    if np.linalg.eigvalsh(r)[0] < 1e-10:
        raise ValueError("The correlation matrix is singular: some item is a combination of others, such as a sum score. "
                         "Leave it out.")
    return rows


def _axes(r: np.ndarray, unique: np.ndarray, m: int, method: str) -> np.ndarray:
    """Unrotated loadings at given uniquenesses."""
    if method == "ml":
        root = np.sqrt(unique)
        values, vectors = np.linalg.eigh(r / np.outer(root, root))
        return root[:, None] * (vectors * np.sqrt(np.maximum(values - 1, 0)))[:, :-m - 1:-1]
    values, vectors = np.linalg.eigh(r - np.diag(unique))
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, :-m - 1:-1]


def _extract(r: np.ndarray, m: int, method: str, limit: int = 20_000) -> tuple[np.ndarray, bool]:
    """Uniquenesses that minimise the discrepancy, and whether the optimum was reached."""
    start = 1 / np.diag(np.linalg.inv(r))
    if method == "pa":
        for _ in range(limit):
            new = 1 - (_axes(r, start, m, method) ** 2).sum(axis=1)
            change, start = np.abs(new - start).max(), new
            if change < 1e-10:
                return start, True
        return start, False
    from scipy.optimize import minimize

    def discrepancy(unique: np.ndarray) -> tuple[float, np.ndarray]:
        if method == "minres":
            values, vectors = np.linalg.eigh(r - np.diag(unique))
            rest, axes = values[:-m], vectors[:, :-m]
            return (rest**2).sum() / 2, -(axes**2 * rest).sum(axis=1)
        root = np.sqrt(unique)
        values, vectors = np.linalg.eigh(r / np.outer(root, root))
        rest, axes = values[:-m], vectors[:, :-m]
        return (rest - np.log(rest) - 1).sum(), (axes**2 * (1 - rest)).sum(axis=1) / unique

    found = minimize(discrepancy, start, jac=True, method="L-BFGS-B", bounds=[(0.005, 1.0)] * len(r),
                     options={**EXACT, "gtol": 1e-9})
    slope = discrepancy(found.x)[1]
    inside = np.clip(found.x - slope, 0.005, 1.0) - found.x
    return found.x, bool(np.abs(inside).max() < 1e-6)


def _varimax(a: np.ndarray, limit: int = 10_000) -> np.ndarray:
    """The rotation matrix of varimax."""
    t = np.eye(a.shape[1])
    for _ in range(limit):
        z = a @ t
        u, _, v = np.linalg.svd(a.T @ (z**3 - z * (z**2).mean(axis=0)))
        change, t = np.abs(u @ v - t).max(), u @ v
        if change < 1e-12:
            return t
    raise RuntimeError(f"The varimax rotation did not converge in {limit} steps. Try rotation='oblimin'.")


def _oblimin(a: np.ndarray) -> np.ndarray:
    """The axes T (unit columns) of direct quartimin, from the unrotated axes on; loadings are A T⁻ᵀ, correlations TᵀT."""
    from scipy.optimize import minimize

    m = a.shape[1]

    def at(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = flat.reshape(m, m)
        length = np.linalg.norm(x, axis=0)
        t = x / length
        back = np.linalg.inv(t)
        pattern = a @ back.T
        others = (pattern**2).sum(axis=1, keepdims=True) - pattern**2
        slope = -(pattern.T @ (pattern * others) @ back).T
        return (pattern**2 * others).sum() / 4, ((slope - t * (t * slope).sum(axis=0)) / length).ravel()

    found = minimize(at, np.eye(m).ravel(), jac=True, method="L-BFGS-B", options={**EXACT, "gtol": 1e-10})
    if np.abs(found.jac).max() > 1e-6:
        raise RuntimeError(f"The oblimin rotation did not converge ({found.message}). Try rotation='promax' or fewer factors.")
    x = found.x.reshape(m, m)
    return x / np.linalg.norm(x, axis=0)


def _spectrum(r: np.ndarray, method: str) -> np.ndarray:
    """Eigenvalues, largest first, of correlation matrices (draws × p × p)."""
    if method == "fa":
        r = r.copy()
        for one in r:
            np.fill_diagonal(one, 1 - _extract(one, 1, "minres")[0])
    return np.linalg.eigvalsh(r)[:, ::-1]


def _names(pattern: pd.DataFrame, study: Study) -> dict[str, str]:
    """Factor → the construct with the highest mean loading on it, each construct once, the clearest first."""
    owner = [study.items[i] for i in pattern.index]
    mean = pattern.abs().groupby(owner).mean().stack().sort_values(ascending=False, kind="stable")
    most = pattern.abs().idxmax(axis=1)
    out: dict[str, str] = {}
    for code, factor in mean.index:
        carried = [o for o, f in zip(owner, most, strict=True) if f == factor]
        if factor not in out and code not in out.values() and carried and 2 * carried.count(code) >= len(carried):
            out[factor] = code
    return {f: out.get(f, f) for f in pattern}


def _rename(solution: EFA, names: dict[str, str]) -> EFA:
    from dataclasses import replace

    return replace(
        solution, loadings=solution.loadings.rename(columns=names), structure=solution.structure.rename(columns=names),
        correlations=solution.correlations.rename(index=names, columns=names),
        variance=solution.variance.replace({"factor": names}), cross=solution.cross.replace({"first": names, "second": names}))


def _flags(solution: EFA) -> list[dict[str, str]]:
    """What a reader must know of a solution."""
    out = []
    if not solution.converged:
        out.append({"en": "The extraction did not converge; do not interpret the loadings. Try fewer factors.",
                    "zh": "因子提取未收敛,载荷不宜解释;请减少因子数。"})
    if solution.heywood:
        listed = ", ".join(map(str, solution.heywood))
        out.append({"en": f"Heywood case: the communality of {listed} reaches 1, so the solution is improper. Try fewer factors.",
                    "zh": f"Heywood 情形:{listed} 的共同度达到 1,解不恰当;请减少因子数。"})
    if len(solution.cross):
        listed = ", ".join(solution.cross["item"])
        out.append({"en": f"Cross-loadings (second loading of at least .32, a convention): {listed}.",
                    "zh": f"交叉载荷(第二载荷不低于 .32,惯例):{listed}。"})
    return out


def _dropped(frame: pd.DataFrame) -> list[dict[str, str]]:
    used = len(frame.dropna())
    return [{"en": f"{len(frame) - used} of {len(frame)} rows have a missing answer and were left out; {used} were used.",
             "zh": f"{len(frame)} 行中有 {len(frame) - used} 行存在缺失答案,已剔除;实际使用 {used} 行。"}] if used < len(frame) else []


def _frame(data: pd.DataFrame, study: Study, items: Sequence[str] | None) -> pd.DataFrame:
    """The columns of the items asked for."""
    wanted = list(study.items) if items is None else list(items)
    unknown = [i for i in wanted if i not in study.items]
    if unknown:
        raise ValueError(f"The study '{study.id}' has no item {', '.join(unknown)}. Its items are: {', '.join(study.items)}.")
    missing = [i for i in wanted if i not in data]
    if missing:
        raise ValueError(f"The data lack the items {', '.join(missing)} of the study '{study.id}'. Check the column names.")
    return data[wanted]
