"""Replaces the phone numbers of published events by a keyed hash, or removes them if there is no key."""

from __future__ import annotations

import base64
import hmac
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.errors import UNDECODABLE
from bridge.privacy.numbers import (
    FEWEST_INSIDE,
    FEWEST_SEEN,
    INTERNATIONAL,
    Holds,
    digits,
    holds,
    is_number,
    normalised,
)
from bridge.privacy.numbers_inside import NumbersInside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.settings import Privacy

PREFIX: Final = "hmac:"
OMITTED: Final = "omitted"
"""The text that replaces a number in keys and inside longer texts when no secret is set."""
_NULL: Final = msgspec.Raw(b"null")
_HASH: Final = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}").fullmatch
_DIGIT: Final = re.compile(r"[0-9]").search
_UNREADABLE: Final = (*UNDECODABLE, OverflowError)


class _Gone:
    """The type of `_GONE`, which marks a value to remove."""


_GONE: Final = _Gone()


def concealment_of(settings: Privacy) -> Concealment | None:
    """Return the concealment for the settings, or None if the bridge publishes phone numbers unchanged."""
    if settings.phone_numbers == "plain":
        return None
    if settings.phone_numbers == "omit" or settings.secret is None:
        return Concealment(None)
    return Concealment(settings.secret.get_secret_value().encode())


class Concealment:
    """A rule that hashes or removes phone numbers.

    With a secret, a number becomes `hmac:` and its HMAC-SHA-256 in base64url, so equal numbers get equal hashes.
    Without a secret, numbers are removed.
    """

    def __init__(self, secret: bytes | None) -> None:
        self._secret = secret

    def number(self, number: str) -> str | None:
        """Return the hash of a number, or None if there is no secret."""
        if self._secret is None:
            return None
        digest = hmac.digest(self._secret, normalised(number).encode(errors="replace"), "sha256")
        return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    @staticmethod
    def is_hash(text: str) -> bool:
        """Return whether a text has the form of a hash."""
        return _HASH(text) is not None

    def key(self, number: str | None) -> str | None:
        """Return the hash of a number for a record key.

        Without a secret the method returns `omitted`, because no part of a key may be empty.
        """
        return number and (self.number(number) or OMITTED)

    def of(self, content: msgspec.Raw, number: str | None = None) -> Concealed:
        """Conceal the numbers of a message. `number` is a phone number that the caller has found in the message."""
        return Concealed(self, content, [] if number is None else [number])


class Concealed:
    """One message without its phone numbers.

    A number is recognised by the name of its JSON member, or by its form (see `numbers.py`). The same number is then
    also hidden in all other members, and inside longer texts if it has at least `FEWEST_INSIDE` digits.
    """

    def __init__(self, rule: Concealment, content: msgspec.Raw, numbers: Iterable[str]) -> None:
        self._rule = rule
        self._seen = {normalised(number): number for number in numbers if digits(number) >= FEWEST_SEEN}
        try:
            self._content: Any = msgspec.json.decode(content)
            self._collect(self._content, None)
        except _UNREADABLE:
            self._content = _GONE
        self._inside = NumbersInside((form for pair in self._seen.items() for form in pair), OMITTED)

    @property
    def content(self) -> msgspec.Raw:
        """The message without phone numbers, or `null` if the message can't be decoded."""
        return self._raw(self._content)

    def part(self, raw: msgspec.Raw) -> msgspec.Raw:
        """Return a part of the message without phone numbers, or `null` if the part can't be decoded."""
        try:
            return self._raw(msgspec.json.decode(raw))
        except _UNREADABLE:
            return _NULL

    def number(self, number: str | None) -> str | None:
        """Return the hash of a text that the caller knows to be a number, or None if there is no secret."""
        return number and self._rule.number(number)

    def text(self, text: str | None) -> str | None:
        """Return a text of the message without numbers, None if the whole text is a number and no secret is set."""
        if text is None:
            return None
        found = self._text(text)
        return found if isinstance(found, str) else None

    def _raw(self, content: Any) -> msgspec.Raw:
        try:
            found = self._without(content, None)
            return _NULL if isinstance(found, _Gone) else msgspec.Raw(msgspec.json.encode(found))
        except _UNREADABLE:
            return _NULL

    def _collect(self, content: Any, name: str | None) -> None:
        if isinstance(content, dict):
            for key, value in content.items():
                self._collect(value, key)
        elif isinstance(content, list):
            for value in content:
                self._collect(value, name)
        elif (text := _scalar(content)) is not None:
            what = Holds.PERHAPS if name is None else holds(name)
            certain = what is Holds.NUMBERS and digits(text) >= FEWEST_SEEN
            if certain or (what is Holds.PERHAPS and is_number(text)):
                self._seen[normalised(text)] = text

    def _without(self, content: Any, name: str | None) -> Any:
        if isinstance(content, dict):
            members = ((key, self._without(value, key)) for key, value in content.items())
            return {self.text(key) or OMITTED: value for key, value in members if value is not _GONE}
        if isinstance(content, list):
            return [one for value in content if (one := self._without(value, name)) is not _GONE]
        text = _scalar(content)
        if text is None:
            return content
        if name is not None and holds(name) is Holds.NUMBERS and text:
            return self._number(text)
        if isinstance(content, str):
            return self._text(content)
        return self._number(text) if digits(text) >= FEWEST_INSIDE and text in self._seen else content

    def _text(self, text: str) -> str | _Gone:
        if _DIGIT(text) is None:
            return text
        if normalised(text) in self._seen:
            return self._number(text)
        text = self._inside.replace(text, self._stand_in)
        return INTERNATIONAL.sub(lambda match: self._stand_in(match[0]), text) if "+" in text else text

    def _stand_in(self, number: str) -> str:
        return self._rule.number(number) or OMITTED

    def _number(self, number: str) -> str | _Gone:
        return self._rule.number(number) or _GONE


def _scalar(content: Any) -> str | None:
    """Return a JSON string or number as text, and None for any other JSON value."""
    if isinstance(content, str):
        return content
    if isinstance(content, bool) or not isinstance(content, int | float):
        return None
    return str(int(content)) if isinstance(content, float) and content.is_integer() else str(content)
