"""What goes wrong through something a person can change: one family of errors, each told as a sentence, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping


class Mistake(Exception):
    """An error whose message is a sentence of :mod:`cxlib.core.words`; as a string it is the English one."""

    def __init__(self, sentence: str | Mapping[str, str]):
        """`sentence` says what is wrong, with which value, what is allowed and what to do."""
        super().__init__(sentence)
        self.sentence = sentence

    def __getitem__(self, language: str) -> str:
        """The message in `language`."""
        return self.sentence if isinstance(self.sentence, str) else self.sentence[language]

    def __str__(self) -> str:
        """The message in English."""
        return self["en"]


class DataError(Mistake, ValueError):
    """The responses cannot be used as they are; the message says which column, why, and what to do."""


class ModelError(Mistake, ValueError):
    """The model cannot be used; the message says what is wrong, why, and what to write instead."""


class EffectError(ModelError):
    """An effect cannot be read or is not in the model; the message says what to write instead."""


class ArgumentError(Mistake, ValueError):
    """A function was called with what it cannot take; the message says which argument, its value, and what is allowed."""


class Impossible(Mistake, ValueError):
    """The data do not allow what was asked; the message says why and what would."""


class TruthError(Mistake, ValueError):
    """The declared population cannot exist, or cannot be drawn; the message says where and what to change."""
