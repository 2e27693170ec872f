"""What goes wrong through something a person can change: told as a sentence, in the language of the command."""

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


class ModelError(Mistake, ValueError):
    """The model cannot be used; the message says what is wrong, why, and what to write instead."""
