"""What can be wrong with a study file, and how to say it: where, with which value, what is allowed, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, product
from typing import Any, get_args

import yaml

TESTS = ("path", "effect", "total", "contrast", "nested", "of", "needs")
"""What a hypothesis may be tested by; exactly one of them is filled in."""


def uncommented(text: str) -> str:
    """The lines of a model without comments and blanks."""
    return "\n".join(line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip())


def lines_of(node: yaml.Node, where: tuple = ()) -> Iterator[tuple[tuple, int]]:
    """Every place of the file with its line."""
    yield where, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*where, str(key.value)), key.start_mark.line + 1
            for place, line in lines_of(value, (*where, str(key.value))):
                if place != (*where, str(key.value)):
                    yield place, line
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from lines_of(value, (*where, str(position)))


def repeated(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Keys written twice: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen:
                yield key.start_mark.line + 1, f"'{key.value}' is written twice (first in line {seen[key.value]}). Keep one."
            seen[key.value] = key.start_mark.line + 1
            yield from repeated(value)


def line_at(lines: Mapping[tuple, int], where: tuple) -> int:
    """The line of the deepest known part of a place."""
    place = tuple(str(part) for part in where)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0) if place else 0


def explain(error: Mapping, model: Any) -> str:
    """A pydantic error in words."""
    where = ".".join(str(part) for part in error["loc"])
    kind, found = error["type"], error["input"]
    if kind == "missing":
        return f"{where} is missing. Add it."
    if kind == "extra_forbidden" and found is None:
        return f'{where} has no value: a text with a comma or a colon needs quotes. Write "…, …".'
    if kind == "extra_forbidden":
        owner = model
        for part in error["loc"][:-1]:
            known = getattr(owner, "model_fields", {})
            owner = _inner(known[part].annotation) if part in known else owner
        allowed = [f for f in getattr(owner, "model_fields", {}) if f not in ("path", "digest")]
        key = str(error["loc"][-1])
        return f"{where}: unknown key '{key}'.{_nearest(key, allowed)} Allowed: {', '.join(allowed)}."
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        near = _nearest(found, re.findall(r"'([^']+)'", expected))
        return f"{where} is '{found}'.{near} Allowed: {expected}."
    shown = repr(found) if len(repr(found)) < 60 else repr(found)[:57] + "…"
    return f"{where} is {shown}: {error['msg'][0].lower() + error['msg'][1:]}. Correct the value."


def _inner(annotation: Any) -> Any:
    """The model class inside an annotation such as dict[str, Item]."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part)) is not None), None)


def inconsistencies(raw: Mapping) -> Iterator[tuple[tuple, str]]:
    """What single fields cannot show: names that do not meet, ranges the wrong way round, items used twice."""
    constructs = {k: v for k, v in _mapping(raw.get("constructs")).items() if isinstance(v, dict)}
    columns, models = _mapping(raw.get("columns")), _mapping(raw.get("models"))
    owner: dict[str, str] = {}
    names: list[tuple] = []  # where a name stands, what it should be, the name, and the known ones
    for code, construct in constructs.items():
        items, parts = _mapping(construct.get("items")), construct.get("of") or []
        if bool(items) == bool(parts):
            yield ("constructs", code), f"construct '{code}' needs either 'items' (its questions) or 'of' (its constructs), and not both."
        for name in (code, *items):
            if not re.fullmatch(r"[^\W\d][\w.]*", name):
                yield ("constructs", code), (f"'{name}' cannot be a code in a model. Allowed: letters, digits, '_' and '.', not beginning with "
                                             "a digit. Rename it here and in the file of answers, or in its header only the wording.")
        for item, question in items.items():
            if item in owner:
                yield ("constructs", code, "items", item), f"item '{item}' already belongs to '{owner[item]}'. An item belongs to one construct."
            owner[item] = code
            yield from _ordered(("constructs", code, "items", item), question, "scale")
        yield from _ordered(("constructs", code), construct, "scale")
        yield from _outside(("constructs", code), construct, construct.get("scale") or raw.get("scale"))
        names += [(("constructs", code, "of"), "construct", part, constructs) for part in parts]
    yield from _ordered((), raw, "scale")
    yield from _outside((), raw, raw.get("scale"))
    for name, column in columns.items():
        yield from _ordered(("columns", name), column, "range")
        if isinstance(column, dict) and column.get("answers") and column.get("kind") != "number":
            yield ("columns", name, "answers"), f"column '{name}' is of kind '{column.get('kind')}': answers: turns words into a number. Write levels: and spellings:."
        if name in owner:
            yield ("columns", name), f"'{name}' is an item of '{owner[name]}' and a column too. Keep one."
        if isinstance(column, dict) and column.get("group") and column.get("kind") not in ("category", "flag"):
            yield ("columns", name), f"column '{name}' is a group but of kind '{column.get('kind')}'. Allowed for a group: category, flag."
    names += [(("pairs", pair[0]), "construct", code, constructs) for pair in _mapping(raw.get("pairs")).items() for code in pair]
    names += [(("scores", score), "construct or item", part, {**constructs, **owner})
              for score, parts in _mapping(raw.get("scores")).items() for part in parts or []]
    if "models" in raw and "main" not in models:
        yield ("models",), "there is no model called 'main'. Name the study's own model 'main'."
    for name, text in models.items():
        yield from ((("models", name), message) for message in _model_problems(name, text, constructs, columns))
    screening = _mapping(raw.get("screening"))
    names += [(("screening", key), "column", name, {**owner, **columns})
              for key in ("order", "duplicates", "attention") for name in screening.get(key) or []]
    names += [(("screening", "duration"), "column", screening.get("duration"), columns), (("cluster",), "column", raw.get("cluster"), columns)]
    yield from ((where, unknown(kind, name, known)) for where, kind, name, known in names if name and name not in known)
    marked, askable = raw.get("marker"), [name for name, c in columns.items() if _mapping(c).get("kind") == "number"]
    if marked and marked not in (known := [*owner, *(c for c in constructs if _mapping(constructs[c].get("items"))), *askable]):
        yield ("marker",), f"marker: {unknown('item, construct or number column', marked, known)} Name a question no hypothesis is about."
    for name, hypothesis in _mapping(raw.get("hypotheses")).items():
        if isinstance(hypothesis, dict):
            yield from ((("hypotheses", name), m) for m in _hypothesis_problems(name, hypothesis, models, constructs))


def _model_problems(name: str, text: Any, constructs: Mapping, columns: Mapping) -> Iterator[str]:
    if not isinstance(text, str) or not uncommented(text):
        yield f"model '{name}' is empty. Write lines such as 'SATISFACTION ~ QUALITY'."
        return
    for line in uncommented(text).splitlines():
        relation = re.fullmatch(r"\s*([\w.]+)\s*(~~|~)\s*(.+)", line)
        if not relation:
            yield (f"model '{name}': '{line.strip()}' cannot be read. Allowed: 'outcome ~ predictor + predictor' and 'a ~~ b'; the measurement "
                   "part ('=~') follows from the constructs.")
            continue
        codes = [term.split("*")[-1].strip() for term in (relation[1], *relation[3].split("+"))]
        if relation[2] == "~" and codes[0] in codes[1:]:
            yield f"model '{name}': '{codes[0]}' is explained by itself. Take it off the right-hand side."
        for code in codes:
            kind = _mapping(columns.get(code)).get("kind")
            if code not in constructs and code not in columns:
                yield f"model '{name}': " + unknown("construct", code, constructs)
            elif code not in constructs and kind not in ("number", "flag"):
                yield f"model '{name}': column '{code}' is of kind '{kind}'. Allowed in a model: number, flag (compare the levels of others as groups)."


def chains(effect: str) -> list[tuple[str, ...]]:
    """The chains an effect sums over: "A + B -> M -> Y" means (A, M, Y) and (B, M, Y)."""
    return list(product(*([code.strip() for code in step.split("+")] for step in effect.split("->"))))


def _hypothesis_problems(name: str, hypothesis: Mapping, models: Mapping, constructs: Mapping) -> Iterator[str]:
    model, given = hypothesis.get("model", "main"), [test for test in TESTS if hypothesis.get(test)]
    if len(given) != 1:
        yield f'hypothesis \'{name}\' has {given or "nothing"} to test it. Write one of {", ".join(TESTS)} (path: "Y ~ X", effect: "X -> M -> Y").'
        return
    test, words = given[0], str(hypothesis[given[0]])
    parts = [" -> ".join(words.split("~")[::-1])] if test == "path" else re.split(r"(?<!-)>|,", words)
    walks = [] if test in ("nested", "of", "needs") else [chain for part in parts for chain in chains(part)]
    named = [("model", code, models) for code in ([model, words] if test == "nested" else [model])]
    for kind, code, known in named + [("construct", code, constructs) for chain in walks for code in chain]:
        if code not in known:
            yield f"hypothesis '{name}': " + unknown(kind, code, known)
            return
    drawn = {
        (m[1], t.split("*")[-1].strip())
        for line in uncommented(str(models[model])).splitlines()
        if (m := re.fullmatch(r"\s*([\w.]+)\s*~(?!~)\s*(.+)", line))
        for t in m[2].split("+")
    }
    for predictor, outcome in (step for chain in walks for step in pairwise(chain) if test in ("path", "effect")):
        if (outcome, predictor) not in drawn:
            yield f"hypothesis '{name}': model '{model}' has no path '{outcome} ~ {predictor}'. Add it to the model or correct the hypothesis."


def _mapping(value: Any) -> dict:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else {}


def _ends(value: Any) -> list:
    """A range as it should be written; empty if it is none."""
    return value if isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) for v in value) else []


def _ordered(where: tuple, holder: Any, key: str) -> Iterator[tuple[tuple, str]]:
    ends = _ends(_mapping(holder).get(key))
    if ends and ends[0] >= ends[1]:
        yield (*where, key), f"{key} is {ends}: the lower end comes first and is smaller. Write [{ends[1]}, {ends[0]}]."


def _outside(where: tuple, holder: Mapping, scale: Any) -> Iterator[tuple[tuple, str]]:
    """Words that stand for a number the scale does not have."""
    ends = sorted(_ends(scale))
    for word, number in _mapping(holder.get("answers")).items():
        if ends and isinstance(number, int | float) and not ends[0] <= number <= ends[1]:
            yield (*where, "answers", word), f"answers: '{word}' stands for {number:g}. Allowed: {ends[0]} to {ends[1]}, the declared scale."


def _nearest(name: Any, known: Iterable) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f" Did you mean '{near[0]}'?" if near else ""


def unknown(kind: str, name: str, known: Iterable) -> str:
    """That a name is not known, with the nearest one and the list."""
    return f"there is no {kind} '{name}'.{_nearest(name, known)} Known: {', '.join(list(known)[:30]) or 'none'}."
