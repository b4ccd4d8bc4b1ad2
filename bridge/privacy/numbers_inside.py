"""Finds known phone numbers inside longer texts.

The time of a search grows with the length of the text, and not with the number of phone numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bridge.privacy.numbers import FEWEST_INSIDE, digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FEW: Final = 8
"""If a message has at most this many forms, a separate search for each form is the fastest way to find out that a text
contains no form."""
LONGEST: Final = 64
"""Maximum characters of a usual form. A longer form counts as long. Real phone numbers are shorter."""
MOST_LONG: Final = 4096
"""Limit for the total length of a message's long forms. Only a hostile message exceeds this limit."""
_USUAL_FIRST: Final = frozenset("0123456789+(")
_USUAL_STARTS: Final = re.compile(r"(?<![0-9])[0-9+(]")
_ALL_STARTS: Final = re.compile(r"(?<![0-9]).", re.DOTALL)
_DIGIT: Final = frozenset("0123456789")


class NumbersInside:
    """Searches texts for the phone numbers of a message.

    A form is a number as the message writes it, with or without separators. A form is found only if no digit precedes
    or follows it. If several forms begin at the same place, the longest is found. A regular expression of all forms
    would give the same result. But compiling an expression for each message would take longer than all other work on
    the message.
    """

    def __init__(self, forms: Iterable[str], hidden: str) -> None:
        """Prepare the search.

        If the total length of the long forms exceeds `MOST_LONG`, `replace` does not search. In this case `replace`
        returns `hidden` for each text with at least `FEWEST_INSIDE` digits, and other texts unchanged.
        """
        self._forms = {form for form in forms if digits(form) >= FEWEST_INSIDE}
        self._hidden = hidden
        # Each form has at least FEWEST_INSIDE digits, so it has a prefix of FEWEST_INSIDE characters.
        self._lengths: dict[str, list[int]] = {}
        for length, prefix in sorted({(len(form), form[:FEWEST_INSIDE]) for form in self._forms}, reverse=True):
            self._lengths.setdefault(prefix, []).append(length)
        self._starts = _USUAL_STARTS if {form[0] for form in self._forms} <= _USUAL_FIRST else _ALL_STARTS
        self._too_long = sum(len(form) for form in self._forms if len(form) > LONGEST) > MOST_LONG

    def replace(self, text: str, replacement: Callable[[str], str]) -> str:
        """Return a copy of the text. Each form that the text contains is replaced by `replacement(form)`."""
        if not self._forms:
            return text
        if self._too_long:
            return self._hidden if digits(text) >= FEWEST_INSIDE else text
        if len(self._forms) <= FEW and not any(form in text for form in self._forms):
            return text
        parts: list[str] = []
        end = 0
        for start in self._starts.finditer(text):
            place = start.start()
            if place >= end and (form := self._form_at(text, place)) is not None:
                parts += (text[end:place], replacement(form))
                end = place + len(form)
        return "".join((*parts, text[end:])) if parts else text

    def _form_at(self, text: str, place: int) -> str | None:
        for length in self._lengths.get(text[place : place + FEWEST_INSIDE], ()):
            end = place + length
            if text[end : end + 1] not in _DIGIT and (form := text[place:end]) in self._forms:
                return form
        return None
