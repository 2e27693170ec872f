"""How tables and figures look in a notebook and in the report: HTML that needs no other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlib.core.words import number

if TYPE_CHECKING:
    from cxlib.core.result import Result


def embed(png: bytes, caption: str) -> str:
    """A figure with its caption as HTML that needs no other file."""
    import base64
    from html import escape

    data = base64.b64encode(png).decode()
    return (
        f'<figure style="margin:0"><img style="max-width:100%" alt="{escape(caption, quote=True)}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def block(result: Result, language: str = "en", rows: int = 60) -> str:
    """A result as HTML: its warnings above its numbers, the table, the sentence, n and method."""
    from html import escape

    parts = [f'<p class="cx-warning">⚠ {escape(w[language])}</p>' for w in result.warnings]
    parts.append(html(result.table.head(rows), language))
    if len(result.table) > rows:
        more = {
            "en": f"{rows} of {len(result.table)} rows; the file has all.",
            "zh": f"仅列出 {len(result.table)} 行中的 {rows} 行，文件中为全部。",
        }
        parts.append(f"<p><small>{more[language]}</small></p>")
    parts.append(f"<p>{escape(result.text[language])}</p>")
    note = " · ".join(
        filter(None, [f"n = {result.n_used:,}" if result.n_used else "", result.method])
    )
    parts.append(f"<p><small>{escape(note)}</small></p>" if note else "")
    return "\n".join(parts)


def html(table: pd.DataFrame, language: str = "en", digits: int = 3) -> str:
    """A table as HTML for the notebook and the report, rounded; the file keeps full precision."""
    shown = (
        table.infer_objects()
    )  # a table put together from an empty one holds its numbers as objects
    for name in shown.columns:
        values = shown[name]
        if pd.api.types.is_bool_dtype(values):
            shown[name] = values.map({True: "✓", False: "✗"})
        elif pd.api.types.is_float_dtype(values):
            whole = values.dropna().mod(1).eq(0).all()
            shown[name] = values.map(lambda v, d=0 if whole else digits: number(v, d))
        elif not pd.api.types.is_numeric_dtype(values):
            shown[name] = values.map(lambda v: "–" if pd.isna(v) else str(v))
    shown.columns = [heading(str(name), language) for name in shown.columns]
    return shown.to_html(index=False, border=0, classes="cx", escape=True)


HEADINGS = {
    "item": "题项",
    "construct": "构念",
    "items": "题数",
    "missing": "缺失",
    "mean": "均值",
    "sd": "标准差",
    "skew": "偏度",
    "kurtosis": "峰度",
    "floor": "地板率",
    "ceiling": "天花板率",
    "step": "步骤",
    "removed": "剔除",
    "remaining": "剩余",
    "respondent": "受访者",
    "kept": "保留",
    "reasons": "原因",
    "alpha": "α",
    "alpha_low": "α 下限",
    "alpha_high": "α 上限",
    "alpha_std": "标准化 α",
    "omega": "ω",
    "split_half": "分半信度",
    "mean_r": "平均相关",
    "alpha_if_dropped": "删除后 α",
    "r_drop": "校正题总相关",
    "statistic": "统计量",
    "value": "值",
    "criterion": "准则",
    "factors": "因子数",
    "factor": "因子",
    "observed": "观测值",
    "random": "随机值",
    "communality": "共同度",
    "measure": "指标",
    "lhs": "左",
    "op": "关系",
    "rhs": "右",
    "est": "估计值",
    "se": "标准误",
    "ci_low": "区间下限",
    "ci_high": "区间上限",
    "std": "标准化",
    "label": "标签",
    "effect": "效应",
    "kind": "类型",
    "interval": "区间方法",
    "draws": "抽样次数",
    "converged": "收敛",
    "statement": "陈述",
    "model": "模型",
    "test": "检验",
    "sign": "方向",
    "p_adjusted": "校正后 p",
    "verdict": "结论",
    "notebook": "笔记本",
    "level": "水平",
    "group": "组",
    "share": "比例",
    "percent": "百分比",
    "name": "名称",
    "role": "角色",
    "wording": "题目",
    "moderator": "调节变量",
    "delta_r2": "ΔR²",
    "low_sd": "下限（标准差）",
    "high_sd": "上限（标准差）",
    "significant": "显著",
    "at": "标准差数",
    "lambda6": "Guttman λ6",
    "alpha_ordinal": "有序 α",
    "values": "取值",
    "rows": "行",
    "rule": "规则",
    "hits": "命中",
    "duration": "用时",
    "attention": "注意检查",
    "table": "表",
    "key": "键",
    "joined": "连接行数",
    "without": "无记录人数",
    "cr": "组合信度",
    "ave": "AVE",
    "msv": "MSV",
    "max_htmt": "最大 HTMT",
    "mi": "修正指数",
    "epc": "预期变化",
    "check": "检查",
    "r2": "R²",
    "a": "构念一",
    "b": "构念二",
    "predictor": "预测变量",
    "outcome": "结果",
    "weight": "权重",
    "rank_1": "居首比例",
    **{f"rank_{k}": f"第 {k} 名比例" for k in range(2, 21)},
    "grouping": "分组",
    "column": "列",
    "quota": "配额",
    "difference": "差值",
    "trustworthy": "可信",
    "proper": "恰当",
    "improper": "不恰当",
    "failed": "失败",
    "sample": "样本",
    "family": "族",
    "scale": "尺度",
    "power": "功效",
    "holds": "成立",
    "reverse": "反向",
    "low": "下限",
    "high": "上限",
    "rate": "比率",
    "n_needed": "所需样本",
    "problem": "问题",
    "note": "说明",
    "figure": "来源数字",
    "unit": "单位",
    "test_statistic": "检验统计量",
    "alpha_boot_low": "α 自助下限",
    "alpha_boot_high": "α 自助上限",
    "omega_total": "ω 总系数",
    "omega_hierarchical": "分层 ω",
    "half": "样本之半",
    "complete": "完整作答",
    "used": "可用",
    "observed_fa": "观测值（公因子）",
    "random_fa": "随机值（公因子）",
    "htmt": "HTMT",
    "htmt_low": "HTMT 下限",
    "htmt_high": "HTMT 上限",
    "htmt2": "HTMT2",
    "htmt2_low": "HTMT2 下限",
    "htmt2_high": "HTMT2 上限",
    "kmo": "KMO",
    "construct_a": "构念一",
    "construct_b": "构念二",
    "p_holm": "Holm 校正 p",
    "respondents": "受访者数",
    "patterns": "缺失模式数",
    "chisq": "χ²",
    "pvalue": "p",
    "npar": "参数数",
    "d_chisq": "Δχ²",
    "d_df": "Δdf",
    "d_p": "Δχ² 的 p",
    "d_cfi": "ΔCFI",
    "d_rmsea": "ΔRMSEA",
    "d_srmr": "ΔSRMR",
    "d_r2": "ΔR²",
    "f2": "f²",
    "r2_without": "去掉后的 R²",
    "start": "起点",
    "end": "终点",
    "type": "类别",
    "total": "总效应",
    "total_low": "总效应下限",
    "total_high": "总效应上限",
    "direct": "直接效应",
    "direct_low": "直接效应下限",
    "direct_high": "直接效应上限",
    "indirect": "间接效应",
    "indirect_low": "间接效应下限",
    "indirect_high": "间接效应上限",
    "proportion": "中介比例",
    "proportion_low": "中介比例下限",
    "proportion_high": "中介比例上限",
    "mediation": "中介类型",
    "in_model": "在模型中",
    "nested": "嵌套",
    "comparable": "可比",
    "group_a": "组一",
    "group_b": "组二",
    "wald": "Wald χ²",
    "lr_chisq": "似然比 χ²",
    "lr_p": "似然比 p",
    "boot_low": "自助下限",
    "boot_high": "自助上限",
    "boot_p": "自助 p",
    "permutations": "置换次数",
    "p_permutation": "置换 p",
    "p_permutation_cfi": "置换 p（CFI）",
    "freed": "放开的参数",
    "reference": "参照组",
    "d_low": "d 下限",
    "d_high": "d 上限",
    "hedges_g": "Hedges g",
    "g_low": "g 下限",
    "g_high": "g 上限",
    "compared_by": "比较方法",
    "driver": "驱动变量",
    "slope": "斜率",
    "y_low": "低值处的结果",
    "y_high": "高值处的结果",
    "rank": "名次",
    "id": "编号",
    "samples": "样本数",
    "formula": "公式",
    "n_80": "功效 80% 所需 n",
    "longstring": "最长连选",
    "even_odd": "奇偶一致性",
    "irv": "个体内变异",
    "mahalanobis": "马氏距离",
    "mahalanobis_p": "马氏距离 p",
    "promoters": "推荐者",
    "passives": "中立者",
    "detractors": "贬损者",
}
"""Chinese headings of the tables; statistics keep their international symbols."""


def heading(name: str, language: str = "en") -> str:
    """The heading of a column in the reader's language."""
    return HEADINGS.get(name, name) if language == "zh" else name.replace("_", " ")
