"""What can be wrong with a study file, and how to say it: where, with which value, what is allowed, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, get_args

import yaml

from cxlib.core.syntax import NAME, ModelSyntaxError, Term, chains, names, path, rivals, scan, steps
from cxlib.core.words import Sentence, _, joined, languages, listed, n_

Problem = tuple[tuple, Sentence]
"""Where in the file, and what is wrong there."""

TESTS = ("path", "effect", "total", "contrast", "nested", "of", "needs")
"""What a hypothesis may be tested by; exactly one of them is filled in."""


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


def model_lines(root: yaml.Node, source: str) -> Iterator[tuple[tuple, int]]:
    """The line of the file of every line of every model."""
    models = next(
        (v for k, v in getattr(root, "value", []) if getattr(k, "value", "") == "models"), None
    )
    written = source.splitlines()
    for key, text in models.value if isinstance(models, yaml.MappingNode) else ():
        at, start = text.start_mark.line, text.start_mark.line
        for number, line in enumerate(str(text.value).splitlines(), 1):
            if (
                text.style != "|"
            ):  # quoted or folded: the next line of the file that holds these words
                found = (
                    k
                    for k in range(start, text.end_mark.line + 1)
                    if k < len(written) and line.strip() and line.strip() in written[k]
                )
                at = next(found, at)
                start = at + 1 if line.strip() else start
            yield (
                ("models", str(key.value), str(number)),
                text.start_mark.line + 1 + number if text.style == "|" else at + 1,
            )


def repeated(node: yaml.Node) -> Iterator[tuple[int, Sentence]]:
    """Keys written twice: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen:
                yield (
                    key.start_mark.line + 1,
                    _(
                        "'{key}' is written twice (first in line {line}). Keep one.",
                        key=key.value,
                        line=seen[key.value],
                    ),
                )
            seen[key.value] = key.start_mark.line + 1
            yield from repeated(value)


def line_at(lines: Mapping[tuple, int], where: tuple) -> int:
    """The line of the deepest known part of a place."""
    place = tuple(str(part) for part in where)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0) if place else 0


def explain(error: Mapping, model: Any) -> Sentence:
    """A pydantic error in our words."""
    where = ".".join(str(part) for part in error["loc"])
    kind, found = error["type"], error["input"]
    if kind == "missing":
        return _("{where} is missing. Add it.", where=where)
    if kind == "extra_forbidden" and found is None:
        return _(
            '{where} has no value: a text with a comma or a colon needs quotes. Write "…, …".',
            where=where,
        )
    if kind == "extra_forbidden":
        owner = model
        for part in error["loc"][:-1]:
            known = getattr(owner, "model_fields", {})
            owner = _inner(known[part].annotation) if part in known else owner
        allowed = [f for f in getattr(owner, "model_fields", {}) if f not in ("path", "digest")]
        allowed += [
            language for language in languages() if "en" in allowed and language not in allowed
        ]
        key = str(error["loc"][-1])
        return joined(
            _("{where}: unknown key '{key}'.", where=where, key=key),
            _nearest(key, allowed),
            _("Allowed: {names}.", names=allowed),
        )
    shown = repr(found) if len(repr(found)) < 60 else repr(found)[:57] + "…"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return joined(
            _("{where} is '{found}'.", where=where, found=found),
            _nearest(found, allowed),
            _("Allowed: {names}.", names=allowed),
        )
    return _(
        "{where} is {found}: {wanted} Correct the value.",
        where=where,
        found=shown,
        wanted=_wanted(error),
    )


def _wanted(error: Mapping) -> Sentence:
    """What a value should have been."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("model_type", "model_attributes_type") and context.get("class_name") in (
        "Item",
        "Wording",
        "Hypothesis",
        "Claim",
    ):
        return _("its words are needed, as {{en: …, zh: …}}.")
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        return _("lines 'key: value' are needed here.")
    if kind == "string_type":
        return _("a text is needed; a number or yes and no become one in quotes.")
    if kind in ("greater_than_equal", "greater_than"):
        return _("at least {least} is needed.", least=context.get("ge", context.get("gt")))
    if kind.startswith("int_"):
        return _("a whole number is needed.")
    if kind.startswith(("float_", "finite_")):
        return _("a number is needed.")
    if kind.startswith("bool_"):
        return _("true or false is needed.")
    if {"scale", "range"} & {str(part) for part in error["loc"][-2:]}:
        return _("two numbers are needed, the lowest and the highest: [1, 7].")
    if kind.startswith(("tuple_", "list_", "too_")):
        return _("a list is needed: [A, B].")
    return _("this is not allowed here.")


def _inner(annotation: Any) -> Any:
    """The model class inside an annotation such as dict[str, Item]."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next(
        (found for part in get_args(annotation) if (found := _inner(part)) is not None), None
    )


def inconsistencies(raw: Mapping) -> Iterator[Problem]:
    """What single fields cannot show: names that do not meet, ranges the wrong way round, items used twice."""
    constructs = {k: v for k, v in _mapping(raw.get("constructs")).items() if isinstance(v, dict)}
    columns, models = _mapping(raw.get("columns")), _mapping(raw.get("models"))
    owner = {
        item: code
        for code, construct in constructs.items()
        for item in _mapping(construct.get("items"))
    }
    yield from _construct_problems(raw, constructs, columns)
    yield from _column_problems(columns, owner)
    yield from _ordered((), raw, "scale")
    yield from _outside((), raw, raw.get("scale"))
    yield from _unknown_names(raw, constructs, columns, owner)
    if "models" in raw and "main" not in models:
        yield ("models",), _("there is no model called 'main'. Name the study's own model 'main'.")
    read = {}
    for name, text in models.items():
        read[name], problems = _model(name, text, constructs, columns, owner)
        yield from problems
    for name, hypothesis in _mapping(raw.get("hypotheses")).items():
        if isinstance(hypothesis, dict):
            yield from (
                (("hypotheses", name), _("hypothesis '{name}': {problem}", name=name, problem=m))
                for m in _hypothesis_problems(hypothesis, read, constructs, columns)
            )


def _construct_problems(raw: Mapping, constructs: Mapping, columns: Mapping) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for code, construct in constructs.items():
        at, items, parts = (
            ("constructs", code),
            _mapping(construct.get("items")),
            construct.get("of") or [],
        )
        if bool(items) == bool(parts):
            yield (
                at,
                _(
                    "construct '{code}' needs either 'items' (its questions) or 'of' (its constructs), and not both.",
                    code=code,
                ),
            )
        for name in (code, *items):
            if not NAME.fullmatch(name):
                yield (
                    at,
                    _(
                        "'{name}' cannot be a code in a model. Allowed: letters, digits, '_' and '.', not beginning with a digit. Rename it here "
                        "and in the file of answers, or in its header only the wording.",
                        name=name,
                    ),
                )
        yield from _item_problems(code, items, constructs, owner)
        if code in columns:
            yield at, _("'{code}' is a construct and a column too. Rename one of them.", code=code)
        if parts and isinstance(parts, list) and len(parts) < 2:
            yield (
                (*at, "of"),
                _(
                    "construct '{code}' is made of one construct only. Name at least two, or use that construct itself.",
                    code=code,
                ),
            )
        if code in _below(code, constructs):
            yield (
                (*at, "of"),
                _(
                    "construct '{code}' is, through others, a part of itself. Take one of the 'of' apart.",
                    code=code,
                ),
            )
        yield from _ordered(at, construct, "scale")
        yield from _outside(at, construct, construct.get("scale") or raw.get("scale"))


def _item_problems(
    code: str, items: Mapping, constructs: Mapping, owner: dict[str, str]
) -> Iterator[Problem]:
    """Items that belong elsewhere too; `owner` learns those that do not."""
    for item, question in items.items():
        place = ("constructs", code, "items", item)
        if item in owner:
            yield (
                place,
                _(
                    "item '{item}' already belongs to '{owner}'. An item belongs to one construct.",
                    item=item,
                    owner=owner[item],
                ),
            )
        if item in constructs and (item != code or len(items) > 1):
            yield (
                place,
                _(
                    "'{item}' is a construct and an item of '{code}' too. Rename one of them.",
                    item=item,
                    code=code,
                ),
            )
        owner.setdefault(item, code)
        yield from _ordered(place, question, "scale")


def _below(code: str, constructs: Mapping) -> list[str]:
    """The constructs a construct is made of, and those these are made of."""
    found: list[str] = []
    waiting = [code]
    while waiting:
        parts = _mapping(constructs.get(waiting.pop())).get("of") or []
        new = (
            [part for part in parts if isinstance(part, str) and part not in found]
            if isinstance(parts, list)
            else []
        )
        found, waiting = found + new, waiting + new
    return found


def _column_problems(columns: Mapping, owner: Mapping) -> Iterator[Problem]:
    for name, column in columns.items():
        kind = _mapping(column).get("kind")
        yield from _ordered(("columns", name), column, "range")
        if _mapping(column).get("answers") and kind != "number":
            yield (
                ("columns", name, "answers"),
                _(
                    "column '{name}' is of kind '{kind}': answers: turns words into a number. Write levels: and "
                    "spellings:.",
                    name=name,
                    kind=kind,
                ),
            )
        if name in owner:
            yield (
                ("columns", name),
                _(
                    "'{name}' is an item of '{owner}' and a column too. Keep one.",
                    name=name,
                    owner=owner[name],
                ),
            )
        if _mapping(column).get("group") and kind not in ("category", "flag"):
            yield (
                ("columns", name),
                _(
                    "column '{name}' is a group but of kind '{kind}'. Allowed for a group: category, flag.",
                    name=name,
                    kind=kind,
                ),
            )


def _unknown_names(
    raw: Mapping, constructs: Mapping, columns: Mapping, owner: Mapping
) -> Iterator[Problem]:
    """Names that nothing is called."""
    wanted: list[tuple] = []  # where a name stands, what it should be, the name, and the known ones
    construct, column, screening = _("construct"), _("column"), _mapping(raw.get("screening"))
    wanted += [
        (("constructs", code, "of"), construct, part, constructs)
        for code, c in constructs.items()
        for part in c.get("of") or []
    ]
    wanted += [
        (("pairs", pair[0]), construct, code, constructs)
        for pair in _mapping(raw.get("pairs")).items()
        for code in pair
    ]
    wanted += [
        (("scores", score), _("construct or item"), part, {**constructs, **owner})
        for score, parts in _mapping(raw.get("scores")).items()
        for part in parts or []
    ]
    wanted += [
        (("screening", key), column, name, {**owner, **columns})
        for key in ("order", "duplicates", "attention")
        for name in screening.get(key) or []
    ]
    wanted += [
        (("screening", "duration"), column, screening.get("duration"), columns),
        (("cluster",), column, raw.get("cluster"), columns),
    ]
    yield from (
        (where, unknown(kind, name, known))
        for where, kind, name, known in wanted
        if name and name not in known
    )
    marked, askable = (
        raw.get("marker"),
        [name for name, c in columns.items() if _mapping(c).get("kind") == "number"],
    )
    known = [*owner, *(c for c in constructs if _mapping(constructs[c].get("items"))), *askable]
    if marked and marked not in known:
        yield (
            ("marker",),
            _(
                "marker: {problem} Name a question no hypothesis is about.",
                problem=unknown(_("item, construct or number column"), marked, known),
            ),
        )


def _model(
    name: str, text: Any, constructs: Mapping, columns: Mapping, owner: Mapping
) -> tuple[tuple[Term, ...], list[Problem]]:
    """The terms of a model, and what is wrong with it, each with its line."""
    terms, mistakes = scan(text if isinstance(text, str) else "")
    found: list[tuple[int, Sentence]] = [
        (
            error.line,
            _("'{text}' cannot be read. {reason}", text=error.text, reason=error.reason)
            if error.line
            else joined(error.reason),
        )
        for error in mistakes
    ]
    inside = [code for given in names(terms) for code in (given, *_below(given, constructs))]
    items = {item for item, code in owner.items() if code in inside}
    for term in terms:
        found += [
            (term.line, problem)
            for problem in _term_problems(term, constructs, columns, owner, items)
        ]
    return terms, [
        (
            ("models", name, line) if line else ("models", name),
            _("model '{name}': {problem}", name=name, problem=problem),
        )
        for line, problem in dict.fromkeys(found)
    ]


def _term_problems(
    term: Term, constructs: Mapping, columns: Mapping, owner: Mapping, items: set[str]
) -> Iterator[Sentence]:
    if term.op == "=~":
        yield _(
            "'{text}': the measurement part ('=~') follows from the constructs. Allowed: 'outcome ~ predictor + predictor' and 'a ~~ b'.",
            text=f"{term.lhs} =~ {term}",
        )
        return
    if term.label in items - {term.rhs, term.lhs}:
        yield _(
            "'{label}*{name}': the label '{label}' is an item. Use a label that is not a variable.",
            label=term.label,
            name=term.rhs,
        )
    for code in (term.lhs, term.rhs):
        kind = _mapping(columns.get(code)).get("kind")
        if code == "1":
            yield _(
                "'{text}': intercepts are not written in a study's model; where a method needs them they are estimated. Take it out.",
                text=f"{term.lhs} ~ {term}",
            )
        elif code in owner and code not in constructs:
            yield _(
                "'{code}' is an item. A model names constructs and columns; the items follow from the constructs.",
                code=code,
            )
        elif code not in constructs and code not in columns:
            yield unknown(_("construct"), code, constructs)
        elif code not in constructs and kind not in ("number", "flag"):
            yield _(
                "column '{code}' is of kind '{kind}'. Allowed in a model: number, flag (compare the levels of others as groups).",
                code=code,
                kind=kind,
            )


def _hypothesis_problems(
    hypothesis: Mapping,
    models: Mapping[str, tuple[Term, ...]],
    constructs: Mapping,
    columns: Mapping,
) -> Iterator[Sentence]:
    model, given = (
        str(hypothesis.get("model", "main")),
        [test for test in TESTS if hypothesis.get(test)],
    )
    if len(given) != 1:
        write = _('Write one of {tests} (path: "Y ~ X", effect: "X -> M -> Y").', tests=TESTS)
        yield joined(
            n_(
                "{n} things test it: {names}.",
                "{n} things test it: {names}.",
                len(given),
                names=given,
            )
            if given
            else _("there is nothing to test it."),
            write,
        )
        return
    test, words = given[0], str(hypothesis[given[0]])
    for name in [model, words] if test == "nested" else [model]:
        if name not in models:
            yield unknown(_("model"), name, models)
            return
    if test == "nested" and words == model:
        yield _(
            "model '{model}' is compared with itself. Name another model in nested:.", model=model
        )
    by = hypothesis.get("by")
    if by and test != "path":
        yield _("by: asks whether a path differs between groups. Write it together with path:.")
    elif by and not _mapping(columns.get(by)).get("group"):
        yield unknown(
            _("group column"),
            str(by),
            [name for name, c in columns.items() if _mapping(c).get("group")],
        )
    try:
        walks = _walks(test, words)
    except ModelSyntaxError as error:
        yield joined(error.reason)
        return
    if absent := [
        code for chain in walks for code in chain if code not in constructs and code not in columns
    ]:
        yield unknown(_("construct"), absent[0], constructs)
        return
    yield from _undrawn(test, walks, model, models[model], constructs)


def _walks(test: str, words: str) -> list[tuple[str, ...]]:
    """The chains a hypothesis is about; a total effect is the pair of its ends."""
    if test == "path":
        return [path(words)[::-1]]
    if test not in ("effect", "total", "contrast"):
        return []
    effects = (
        [words]
        if test != "contrast"
        else list(dict.fromkeys(effect for pair in rivals(words) for effect in pair))
    )
    if test != "effect" and (long := [effect for effect in effects if len(steps(effect)) > 2]):
        raise ModelSyntaxError(
            0,
            long[0],
            _(
                "'{effect}': a total effect has a start and an end only, every way between them counts. Write 'A -> Y', "
                "or effect: for one chain.",
                effect=long[0],
            ),
        )
    return [chain for effect in effects for chain in chains(effect)]


def _undrawn(
    test: str,
    walks: list[tuple[str, ...]],
    model: str,
    terms: tuple[Term, ...],
    constructs: Mapping,
) -> Iterator[Sentence]:
    """Paths that the model does not have, and pairs it does not connect."""
    drawn = {(term.rhs, term.lhs) for term in terms if term.op == "~"}
    inside = {code for given in names(terms) for code in (given, *_below(given, constructs))}
    loaded = {
        (code, part) for code in inside for part in _mapping(constructs.get(code)).get("of") or []
    }
    for predictor, outcome in dict.fromkeys(step for chain in walks for step in pairwise(chain)):
        if test in ("path", "effect") and (predictor, outcome) not in drawn:
            yield _(
                "model '{model}' has no path '{outcome} ~ {predictor}'. Add it to the model or correct the hypothesis.",
                model=model,
                outcome=outcome,
                predictor=predictor,
            )
        elif test in ("total", "contrast") and outcome not in _reached(predictor, drawn | loaded):
            yield _(
                "model '{model}' has no way from '{start}' to '{end}'. Check the direction of the arrow, or add the paths to the model.",
                model=model,
                start=predictor,
                end=outcome,
            )


def _reached(start: str, arrows: set[tuple[str, str]]) -> set[str]:
    """What can be reached along the arrows."""
    found: set[str] = set()
    while new := {end for begin, end in arrows if begin in found | {start}} - found:
        found |= new
    return found


def _mapping(value: Any) -> dict:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else {}


def _ends(value: Any) -> list:
    """A range as it should be written; empty if it is none."""
    return (
        value
        if isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int | float) for v in value)
        else []
    )


def _ordered(where: tuple, holder: Any, key: str) -> Iterator[Problem]:
    ends = _ends(_mapping(holder).get(key))
    if ends and ends[0] >= ends[1]:
        yield (
            (*where, key),
            _(
                "{key} is [{first}, {last}]: the lower end comes first and is smaller. Write [{last}, {first}].",
                key=key,
                first=ends[0],
                last=ends[1],
            ),
        )


def _outside(where: tuple, holder: Mapping, scale: Any) -> Iterator[Problem]:
    """Words that stand for a number the scale does not have."""
    ends = sorted(_ends(scale))
    for word, number in _mapping(holder.get("answers")).items():
        if ends and isinstance(number, int | float) and not ends[0] <= number <= ends[1]:
            yield (
                (*where, "answers", word),
                _(
                    "answers: '{word}' stands for {number:g}. Allowed: {low} to {high}, the declared scale.",
                    word=word,
                    number=number,
                    low=ends[0],
                    high=ends[1],
                ),
            )


def _nearest(name: Any, known: Iterable) -> Sentence | str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    return _("Did you mean '{near}'?", near=near[0]) if near else ""


def unknown(kind: Sentence, name: str, known: Iterable) -> Sentence:
    """That a name is not known, with the nearest one and the list."""
    known = list(known)
    return joined(
        _("there is no {kind} '{name}'.", kind=kind, name=name),
        _nearest(name, known),
        _("Known: {names}.", names=listed(known, 30)) if known else _("None is declared."),
    )
