"""The simulated study: its models, and a generator whose planted truth comes back."""

from __future__ import annotations

import pytest

from cxlib import study
from cxlib.sem.model import parse


@pytest.fixture(scope="module")
def vas():
    return study.load("vas")


@pytest.mark.parametrize(("model", "df", "npar"), [("main", 625, 116), ("V1f", 629, 112), ("V2", 548, 82), ("V3", 377, 88),
                                                   ("V4", 644, 97), ("V5", 125, 46)])
def test_models_have_the_specified_size(vas, model, df, npar):
    parsed = parse(vas.syntax(model))
    p = len(parsed.observed)
    assert (p * (p + 1) // 2 - parsed.npar, parsed.npar) == (df, npar)


def test_every_listed_hypothesis_says_how_it_is_tested_or_what_is_missing(vas):
    tests = [[test for test in study.TESTS if getattr(h, test)] for h in vas.hypotheses.values()]
    assert all(len(found) == 1 for found in tests)
    numbers = {int("".join(filter(str.isdigit, code))) for code in vas.hypotheses}
    assert numbers == set(range(1, 85)) - {79}
    assert {int("".join(filter(str.isdigit, code))) for code in vas.claims} == set(range(1, 28)) - {22}
