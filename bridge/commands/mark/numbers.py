"""Converts the phone numbers of a list to the form that is sent."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from bridge.commands.mark.fields import RowInvalid
from bridge.errors import CommandFailed, UnusableInput, installation_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SEPARATORS: Final = re.compile(r"[\s().\-\u2010-\u2015\u2212/]")
"""Blanks, and the characters that people write between digits (RFC 3966, "visual separators")."""
_NUMBER: Final = re.compile(r"\+?[0-9]+", re.ASCII)
_EXTENSION: Final = re.compile(
    r"[0-9)\s](?:;?\s*ext(?:ension|n)?\.?|\s*x|#|\s*durchwahl)\s*[=:]?\s*[0-9]+$", re.IGNORECASE
)
_DECIMAL: Final = re.compile(r"[0-9]+[.,][0-9]{1,2}|[0-9.,]+e\+?[0-9]+", re.IGNORECASE | re.ASCII)
_AREA: Final = re.compile(r"[^/]{1,9}/[^/]+")
"""A number with one slash after at most nine characters, as after an area code. A later slash separates two numbers."""
FEWEST_DIGITS: Final = 3
MOST_DIGITS: Final = 15
"""The most digits of an international number (E.164)."""


def number_reader(region: str | None) -> Callable[[str], str]:
    """Return a function that converts a number of the list to the form that is sent, or raises RowInvalid.

    With a region (ISO 3166, such as US) the result is in E.164, and the number must be valid in its country's
    numbering plan. Without a region the function removes only blanks and visual separators.

    Raises:
        CommandFailed: the library for numbering plans is not installed.
        UnusableInput: the region does not exist.
    """
    if region is None:
        return plain_number
    try:
        import phonenumbers  # noqa: PLC0415 -- only installed with the extra `lists`
    except ImportError:
        raise CommandFailed(
            f"--region needs the numbering plans, the extra `lists`; {installation_of('lists')}"
        ) from None
    wanted = region.upper()
    if wanted not in phonenumbers.SUPPORTED_REGIONS:
        raise UnusableInput("--region must be a country's two letters, such as US, GB or DE")

    def international(text: str) -> str:
        try:
            number = phonenumbers.parse(plain_number(text), wanted)
        except phonenumbers.NumberParseException:
            raise RowInvalid("invalid-number", "this is not a phone number of the region") from None
        if not phonenumbers.is_valid_number(number):
            raise RowInvalid("invalid-number", "the number does not exist in its country's numbering plan")
        return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))

    return international


def plain_number(text: str) -> str:
    """Return the number without separators.

    An ambiguous text, for example a text that may be two numbers, is refused, because a guess could be wrong.

    Raises:
        RowInvalid: the text is not one phone number.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if _EXTENSION.search(text):
        raise RowInvalid("extension", "the number has an extension; give the number alone")
    if _DECIMAL.fullmatch(text):
        raise RowInvalid("decimal", "the number is a decimal, as spreadsheets write it; export the column as text")
    if any(one.isalpha() for one in text):
        raise RowInvalid("letters", "the number has letters; if this row is the header, use --column phone=NAME")
    if "/" in text and not _AREA.fullmatch(text):
        raise RowInvalid("several-numbers", "the cell seems to have several numbers; give each number its own row")
    number = _SEPARATORS.sub("", text)
    if _NUMBER.fullmatch(number) is None:
        raise RowInvalid("characters", "the number has characters that a phone number can't have")
    if not FEWEST_DIGITS <= len(number.lstrip("+")) <= MOST_DIGITS:
        raise RowInvalid("length", f"a number has {FEWEST_DIGITS} to {MOST_DIGITS} digits")
    return number
