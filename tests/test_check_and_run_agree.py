"""What `cxlib check` passes, the engine reads: random study files, most of them slightly wrong."""

from __future__ import annotations

import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from cxlib.core.syntax import path, rivals
from cxlib.sem import parse
from cxlib.sem.paths import effect
from cxlib.study.schema import StudyError, load

CONSTRUCTS = {
    "Q": ["q1", "q2", "q3"],
    "V": ["v1", "v2"],
    "S": ["s1", "s2", "s3"],
    "L": ["L"],
    "质": ["z1", "z2"],
}
NAMES = st.sampled_from([*"QVSLQVSLQVSL", "质", "W", "age", "质", "W", "age", "q1", "sex", "x9"])
MARKS = st.sampled_from(
    [
        *[""] * 15,
        "a*",
        "b*",
        "k*",
        ".5*",
        "-1*",
        "NA*",
        "nan*",
        "1e-3*",
        "S*",
        "q1*",
        "start(1)*",
        "c(a,b)*",
        "2*a*",
        "- .2 *",
    ]
)
RIGHT = st.lists(st.builds("{}{}".format, MARKS, NAMES), min_size=1, max_size=3).flatmap(
    lambda terms: st.sampled_from([" + ", "+", " +\n  ", "\n  + ", " + ", "+", " - "]).map(
        lambda plus: plus.join(terms)
    )
)
LINE = st.builds(
    "{} {} {}{}".format,
    NAMES,
    st.sampled_from([*"~" * 12, "~~", "=~", ":="]),
    RIGHT,
    st.sampled_from([*[""] * 12, " # why", " +", " + 1"]),
)
MODEL = st.lists(LINE, min_size=1, max_size=3).flatmap(
    lambda lines: st.sampled_from(["\n", "\n\n", "; "]).map(lambda end: end.join(lines))
)
SOUND = st.lists(
    st.tuples(
        st.sampled_from(["V", "S", "L", "质", "W"]),
        st.sampled_from(["Q", "V", "S", "age", "W"]),
        st.sampled_from(["", "a*", ".5*", "NA*", "nan*", "- .2 *"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda t: t[:2],
).map(lambda rows: "\n".join(f"{y} ~ {m}{x}" for y, x, m in rows if x != y) or "S ~ Q")
TESTS = st.one_of(
    st.builds(lambda y, x: {"path": f"{y} ~ {x}"}, NAMES, NAMES),
    st.builds(lambda a, m, y: {"effect": f"{a} -> {m} -> {y}"}, NAMES, NAMES, NAMES),
    st.builds(lambda a, b, y: {"total": f"{a} + {b} -> {y}"}, NAMES, NAMES, NAMES),
    st.builds(lambda a, b, y: {"contrast": f"{a} -> {y} > {b} -> {y}"}, NAMES, NAMES, NAMES),
    st.just({"nested": "main"}),
    st.just({"effect": "Q ->"}),
)


def content(model: str, tests: list[dict]) -> dict:
    constructs = {
        code: {"role": "service", "name": code, "items": {i: {"en": i, "zh": i} for i in items}}
        for code, items in CONSTRUCTS.items()
    }
    constructs["W"] = {"role": "perception", "name": "W", "of": ["V", "质"]}
    return {
        "id": "r",
        "title": "R",
        "origin": "real",
        "source": "made up",
        "responses": {"file": "r.csv"},
        "scale": [1, 7],
        "constructs": constructs,
        "columns": {
            "age": {"kind": "number"},
            "sex": {"kind": "category", "levels": {"1": "a", "2": "b"}, "group": True},
        },
        "models": {"main": model},
        "hypotheses": {f"H{k}": {**test, "en": "e", "zh": "z"} for k, test in enumerate(tests)},
    }


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(model=st.one_of(MODEL, SOUND, SOUND), tests=st.lists(TESTS, max_size=1))
def test_what_check_passes_the_engine_reads(tmp_path, model, tests):
    file = tmp_path / "study.yml"
    file.write_text(yaml.safe_dump(content(model, tests), allow_unicode=True), "utf-8")
    try:
        study = load(file)
    except StudyError as error:
        event("refused")
        assert all(line > 0 and message["en"] != message["zh"] for line, message in error.problems)
        return
    event("passed")
    parsed = parse(study.syntax())
    assert set(parsed.observed) <= {*study.items, *study.columns}
    for hypothesis in study.hypotheses.values():
        if hypothesis.path:
            assert effect(parsed, " -> ".join(reversed(path(hypothesis.path)))).kind == "direct"
        if hypothesis.effect:
            effect(parsed, hypothesis.effect)
        ends = [hypothesis.total] if hypothesis.total else []
        ends += (
            [part for pair in rivals(hypothesis.contrast) for part in pair]
            if hypothesis.contrast
            else []
        )
        for words in ends:
            effect(parsed, words, "total")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    model=st.lists(
        st.tuples(st.sampled_from("VSL质"), st.sampled_from("QVS")),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_what_the_engine_reads_check_passes(tmp_path, model):
    text = "\n".join(f"{y} ~ {x}" for y, x in model if y != x) or "S ~ Q"
    file = tmp_path / "study.yml"
    file.write_text(yaml.safe_dump(content(text, []), allow_unicode=True), "utf-8")
    assert len(parse(load(file).syntax()).table.query("op == '~'")) == len(text.splitlines())
