"""The diagrams: nothing overlaps, nothing is drawn wrongly, the caption tells the truth."""

from __future__ import annotations

import itertools
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from cxlib import show
from cxlib.sem import diagram
from cxlib.sem.diagram import plot_conceptual, plot_diagram
from cxlib.study import Study, load

NAMES = {
    "TS": ("service", "Technical support", "技术支持型增值服务", 4),
    "CV": ("service", "Convenience services", "便捷提升型增值服务", 4),
    "PC": ("service", "Personalised services", "个性化定制型增值服务", 4),
    "AS": ("service", "After-sales care", "售后维护型增值服务", 4),
    "PI": ("perception", "Perceived information", "感知信息", 4),
    "CE": ("perception", "Cognitive evaluation", "认知评价", 4),
    "CP": ("perception", "Cognitive preference", "认知偏好", 3),
    "PV": ("perception", "Perceived value", "感知价值", 4),
    "PQ": ("perception", "Perceived quality", "感知品质", 3),
    "ER": ("perception", "Emotional resonance", "情感共鸣(情感联系与归属)", 4),
    "PT": ("perception", "Customer participation", "客户参与", 3),
    "SA": ("satisfaction", "Overall customer satisfaction", "总体满意", 4),
    "LY": ("loyalty", "Customer loyalty", "客户忠诚", 4),
}
MODELS = {
    "main": """PV ~ a11*TS + a12*CV + a13*PC + a14*AS
               PQ ~ TS + CV + PC + AS
               ER ~ TS + CV + PC + AS
               PT ~ TS + CV + PC + AS
               SA ~ PV + PQ + ER + PT + TS + CV + PC + AS
               LY ~ SA + ER + PC + AS""",
    "cognition": """PI ~ VASQ
                    CE ~ PI + VASQ
                    CP ~ CE
                    SA ~ CE + VASQ
                    LY ~ CP + SA""",
}


def vas() -> Study:
    """Ten constructs and 28 paths (main), and a chain that starts at a second-order construct (cognition)."""
    constructs = {code: {"role": role, "name": {"en": en, "zh": zh}, "items": {f"{code}{i}": {"en": "?", "zh": "?"}
                                                                              for i in range(1, k + 1)}}
                  for code, (role, en, zh, k) in NAMES.items()}
    constructs["VASQ"] = {"role": "service", "name": {"en": "Value-added service quality", "zh": "增值服务质量"},
                          "of": ["TS", "CV", "PC", "AS"]}
    signs = {"H2a": ("PV ~ TS", "+"), "H2b": ("PV ~ CV", "+"), "H6": ("SA ~ PV", "+"), "H7": ("SA ~ PQ", "-"),
             "H12": ("LY ~ SA", "<>"), "H16": ("LY ~ AS", "+")}
    hypotheses = {code: {"path": path, "sign": sign, "en": "?", "zh": "?"} for code, (path, sign) in signs.items()}
    hypotheses["H10a"] = {"effect": "TS -> PV -> SA", "sign": "+", "en": "?", "zh": "?"}
    return Study.model_validate({
        "id": "test", "title": "test", "origin": "simulated", "source": "test", "responses": {"file": "none.csv"},
        "scale": (1, 7), "constructs": constructs, "models": MODELS, "hypotheses": hypotheses})


def simulated(study: Study, model: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A parameter table and R² of the shape a fit would give, with numbers drawn at random."""
    rng = np.random.default_rng(7)
    relations = [(found[1], found[2], term.split("*")[-1].strip()) for line in study.syntax(model).splitlines()
                 if (found := re.fullmatch(r"\s*([\w.]+)\s*(=~|~~|~)\s*(.+)", line)) for term in found[3].split("+")]
    outcomes = list(dict.fromkeys(lhs for lhs, op, _ in relations if op == "~"))
    below = {rhs for _, op, rhs in relations if op == "=~"}
    exogenous = [c for c in study.model_constructs(model) if c not in outcomes and c not in below]
    relations += [(a, "~~", b) for a, b in itertools.combinations(exogenous, 2)]
    relations += [(c, "~~", c) for c in study.model_constructs(model)]
    rows = []
    for lhs, op, rhs in relations:
        std = rng.uniform(0.6, 0.95) if op == "=~" else rng.uniform(0.2, 0.6) if op == "~~" else rng.normal(0.2, 0.25)
        est, se = 1.3 * std, 0.11
        p = float(np.exp(-0.72 * (est / se) - 0.42 * (est / se) ** 2)) if est > 0 else 0.4
        rows.append((lhs, op, rhs, est, se, est / se, p, est - 1.96 * se, est + 1.96 * se, std))
    columns = ["lhs", "op", "rhs", "est", "se", "z", "p", "ci_low", "ci_high", "std"]
    r2 = pd.DataFrame({"construct": outcomes, "r2": rng.uniform(0.2, 0.7, len(outcomes))})
    return pd.DataFrame(rows, columns=columns), r2
