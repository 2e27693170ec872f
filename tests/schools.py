"""Holzinger and Swineford's pupils as a study with grouping columns, for the tests of stage 08."""

from __future__ import annotations

import functools

import pandas as pd
from r_tables import r_table

from cxlib.study.schema import Study

ITEMS = {"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]}


@functools.cache
def table(name: str) -> pd.DataFrame:
    return r_table(f"groups_{name}", keep_default_na=False, na_values=["NA"])


def pupils() -> pd.DataFrame:
    """The data, with groups made for the tests."""
    data = r_table("hs")
    data["age"] = pd.cut(data["ageyr"], [0, 12, 13, 20], labels=["a", "b", "c"]).astype(str)
    data["girl"] = (data["sex"] == 2).astype(float)
    return data


def study(hypotheses: dict | None = None, cluster: str = "", **columns: dict) -> Study:
    roles = dict(zip(ITEMS, ("service", "perception", "loyalty"), strict=True))
    return Study.model_validate(
        {
            "id": "schools",
            "title": "schools",
            "origin": "real",
            "source": "Holzinger and Swineford (1939)",
            "responses": {"file": "none.csv"},
            "scale": [0, 10],
            "cluster": cluster,
            "constructs": {
                code: {
                    "role": roles[code],
                    "name": {"en": f"{code} ability", "zh": f"能力{code}"},
                    "items": {item: {"en": item, "zh": item} for item in items},
                }
                for code, items in ITEMS.items()
            },
            "scores": {"visual100": ["visual"], "both100": ["visual", "textual"], "x4_100": ["x4"]},
            "columns": {
                "school": {
                    "kind": "category",
                    "group": True,
                    "name": {"en": "school", "zh": "学校"},
                    "levels": {
                        "Pasteur": {"en": "Pasteur", "zh": "巴斯德"},
                        "Grant-White": {"en": "Grant-White", "zh": "格兰特"},
                    },
                },
                "age": {
                    "kind": "category",
                    "levels": {k: {"en": f"age {k}", "zh": f"年龄{k}"} for k in "abc"},
                },
                "girl": {"kind": "flag", "group": True},
                "agemo": {"kind": "number"},
                **columns,
            },
            "models": {"main": "textual ~ visual\nspeed ~ textual + visual"},
            "hypotheses": hypotheses or {},
        }
    )
