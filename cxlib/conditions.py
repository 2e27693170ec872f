"""Conditions on rows, as a study file writes them: "fb_given == 0 and reply_h > 0".  Nothing in them is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

import pandas as pd

from cxlib.reading import DataError

COMPARE: dict[type, Callable] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def where(frame: pd.DataFrame, condition: str) -> pd.Series:
    """Rows that meet a condition such as "fb_given == 0 and reply_h > 0"; a missing value never meets a comparison.

    Allowed: column names, numbers, quoted texts, == != < <= > >=, and, or, not, + −.

    Raises
    ------
    DataError
        Anything else, or a column that is not there.
    """

    def value(node: ast.AST) -> pd.Series | float | str | bool:
        match node:
            case ast.Name(id=name) if name in frame:
                return frame[name]
            case ast.Constant(value=constant) if isinstance(constant, int | float | str):
                return constant
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return ~truth(inner)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                return value(left) + value(right) if isinstance(op, ast.Add) else value(left) - value(right)
            case ast.BoolOp(op=op, values=parts):
                every = [truth(part) for part in parts]
                return (
                    pd.concat(every, axis=1).all(axis=1)
                    if isinstance(op, ast.And)
                    else pd.concat(every, axis=1).any(axis=1)
                )
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
                one, other = value(left), value(right)
                if isinstance(one, pd.Series) and one.dtype.kind not in "fibM" and isinstance(other, int | float):
                    other = f"{other:g}"  # the codes of a category are texts
                answered = pd.Series(True, index=frame.index)
                for side in (one, other):
                    if isinstance(side, pd.Series):
                        answered &= side.notna()
                return COMPARE[type(op)](one, other) & answered
            case ast.Name(id=name):
                raise DataError(f"Condition '{condition}': there is no column '{name}'.")
        raise DataError(
            f"Condition '{condition}' cannot be read. Allowed: columns, numbers, quoted texts, == != < <= > >=, "
            "and, or, not; write 'low <= x and x <= high' for a range."
        )

    def truth(node: ast.AST) -> pd.Series:
        result = value(node)
        return (
            result.fillna(0).astype(bool)
            if isinstance(result, pd.Series)
            else pd.Series(bool(result), index=frame.index)
        )

    try:
        parsed = ast.parse(condition.strip(), mode="eval").body
    except SyntaxError:
        raise DataError(
            f"Condition '{condition}' cannot be read. Write for example \"fb_given == 0 and reply_h > 0\"."
        ) from None
    return truth(parsed)
