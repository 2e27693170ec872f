"""What things are called: constructs, columns, scores and effects in the reader's language, for sentences and pictures."""

from __future__ import annotations

from cxlib.core.syntax import ARROW
from cxlib.core.words import Sentence, c_, joined, listed
from cxlib.study.schema import Study

ROLES = {
    "expectation": c_("constructs of a role", "expectation"),
    "service": c_("constructs of a role", "service"),
    "experience": c_("constructs of a role", "experience"),
    "perception": c_("constructs of a role", "perception"),
    "satisfaction": c_("constructs of a role", "satisfaction"),
    "loyalty": c_("constructs of a role", "loyalty"),
    "context": c_("constructs of a role", "context"),
}
"""The words for several constructs of one role."""


def named(study: Study, code: str) -> Sentence:
    """The words for a construct, item or column; the code itself where the study has none."""
    return listed([study.wording(code) or code])


def named_score(study: Study, name: str) -> Sentence:
    """The words for a score, construct or column; a score of one construct goes by its name."""
    codes = study.scores.get(name, ())
    return named(study, codes[0] if len(codes) == 1 else name)


def named_effect(study: Study, words: str) -> Sentence:
    """An effect, or a contrast of two; more than two constructs of one role at one place go by the name of the role."""
    places: list[Sentence] = []
    for codes in (place.split(" + ") for place in words.split(ARROW)):
        roles = {study.role(code) for code in codes if code in study.constructs}
        if len(codes) > 2 and len(roles) == 1:
            places.append(ROLES[roles.pop()])
        else:
            places.append(joined(*(named(study, code) for code in codes), between=" + "))
    return joined(*places, between=" → ")
