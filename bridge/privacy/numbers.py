"""Which members of a message hold phone numbers, and which texts are some.

Source of the names: Web Services API, messages of outbound records, devices and calls, and OCS's GSW_ keys.
The library phonenumbers judges by numbering plans; here what only looks like a number must not be published either.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

_NOT_NAMES: Final = re.compile(r"[^a-z0-9]")
_ALWAYS: Final = re.compile(
    r".*phone\d*"  # phone, GSW_PHONE, homePhone, a calling list's phone2
    r"|.*phonenumber\d*"  # phoneNumber, dynamicPhoneNumber, formattedPhoneNumber
    r"|.*(e164|called|caller|calling|customer|contact|destination|dialed|fax|mobile)number"
    r"|(caller|calling|gsw)?(ani|dnis|msisdn)"
    r"|digits|callerid"
)
_SOMETIMES: Final = re.compile(
    r"from|to|origin|destination|caller|called|callee|calling|participants?|mobile|tel|fax|number|uri|contact"
)
_SEPARATORS: Final = str.maketrans("", "", " \t-.()")
"""What people put between digits (RFC 3966, "visual separators", and blanks)."""
_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}", re.ASCII)
"""E.164 has at most 15 digits; shorter ones could be anything: seconds of a day, extensions, years."""
INTERNATIONAL: Final = re.compile(r"(?<![0-9+])\+[0-9](?:[ \-.()]{0,2}[0-9]){6,14}(?![0-9])", re.ASCII)
"""Nothing but a phone number is written so, wherever it stands."""
FEWEST_SEEN: Final = 3
"""Digits of a number that is looked for elsewhere in its message."""
FEWEST_INSIDE: Final = 7
"""The fewest digits of a number that is looked for inside longer texts and among integers."""
LONGEST_KEPT: Final = 128
"""Characters of a member's name that is remembered: names come from outside and may have any length."""


class Holds(Enum):
    """What a member of that name holds."""

    NUMBERS = "numbers"
    """Whatever it is."""
    PERHAPS = "perhaps"
    """If it looks like one."""
    OTHER = "other"


def holds(name: str) -> Holds:
    """Tell what a member holds by its name, in whatever spelling."""
    return _holds(name) if len(name) <= LONGEST_KEPT else _holds.__wrapped__(name)


@lru_cache(maxsize=4096)
def _holds(name: str) -> Holds:
    plain = _NOT_NAMES.sub("", name.lower())
    if _ALWAYS.fullmatch(plain):
        return Holds.NUMBERS
    return Holds.PERHAPS if _SOMETIMES.fullmatch(plain) else Holds.OTHER


def normalised(number: str) -> str:
    """Return the number without what people put between digits; a leading + stays, because it may mean another one."""
    return number.translate(_SEPARATORS)


def is_number(text: str) -> bool:
    """Tell whether a text can hardly be anything else."""
    return _NUMBER.fullmatch(normalised(text)) is not None


def digits(text: str) -> int:
    """Count the digits of a text."""
    return sum(map(text.count, "0123456789"))
