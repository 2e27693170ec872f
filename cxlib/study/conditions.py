"""Conditions on rows, as a study file writes them: "fb_given == 0 and reply_h > 0".  Nothing in them is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import reduce

import pandas as pd

from cxlib.core.errors import DataError
from cxlib.core.words import _

OPERATORS: dict[type, Callable] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Add: operator.add, ast.Sub: operator.sub, ast.And: operator.and_, ast.Or: operator.or_,
}  # fmt: skip


def where(frame: pd.DataFrame, condition: str) -> pd.Series:
    """Rows that meet a condition such as "fb_given == 0 and reply_h > 0"; a missing value never meets a comparison.

    Allowed: column names, numbers, quoted texts, == != < <= > >=, and, or, not, + −.

    Raises
    ------
    DataError
        Anything else, or a column that is not there.
    """

    def value(node: ast.AST) -> pd.Series:
        match node:
            case ast.Name(id=name) if name in frame:
                return frame[name]
            case ast.Name(id=name):
                raise DataError(
                    _(
                        "Condition '{condition}': there is no column '{name}'.",
                        condition=condition,
                        name=name,
                    )
                )
            case ast.Constant(value=int() | float() | str() as constant):
                return pd.Series(constant, frame.index)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return ~truth(inner)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                return OPERATORS[type(op)](value(left), value(right))
            case ast.BoolOp(op=op, values=parts):
                return reduce(OPERATORS[type(op)], map(truth, parts))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                one, other = value(left), value(right)
                if one.dtype.kind not in "fibM" and other.dtype.kind in "fi":
                    other = other.map("{:g}".format)  # the codes of a category are texts
                return OPERATORS[type(op)](one, other) & one.notna() & other.notna()
        raise DataError(
            _(
                "Condition '{condition}' cannot be read. Allowed: columns, numbers, quoted texts, == != < <= > >=, and, or, not; write "
                "'low <= x and x <= high' for a range.",
                condition=condition,
            )
        )

    def truth(node: ast.AST) -> pd.Series:
        return value(node).fillna(0).astype(bool)

    try:
        return truth(ast.parse(condition.strip(), mode="eval").body)
    except SyntaxError:
        raise DataError(
            _(
                "Condition '{condition}' cannot be read. Write for example \"fb_given == 0 and reply_h > 0\".",
                condition=condition,
            )
        ) from None
