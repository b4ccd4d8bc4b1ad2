"""Decides which members of a message contain phone numbers, and which texts are phone numbers.

The names of members come from the Web Services API (outbound records, devices, calls), and from the `GSW_` keys of OCS
(Genesys' Outbound Contact Server).
The library phonenumbers is not used, because it finds only valid numbers. The bridge must hide invalid numbers too.
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
"""Characters that people write between digits: the "visual separators" of RFC 3966, blanks and tabs."""
_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}", re.ASCII)
"""E.164 allows at most 15 digits. Fewer than 7 digits may be something else, such as a year or an extension."""
INTERNATIONAL: Final = re.compile(r"(?<![0-9+])\+[0-9](?:[ \-.()]{0,2}[0-9]){6,14}(?![0-9])", re.ASCII)
"""A `+` and 7 to 15 digits, which is treated as a phone number in any text."""
FEWEST_SEEN: Final = 3
"""Minimum digits of a number that is also searched for in the other members of its message."""
FEWEST_INSIDE: Final = 7
"""Minimum digits of a number that is also searched for inside longer texts and among integers."""
LONGEST_KEPT: Final = 128
"""Maximum characters of a cached name, because names come from outside and may have any length."""


class Holds(Enum):
    """The content of a member, judged by its name."""

    NUMBERS = "numbers"
    """Each value of the member is a phone number."""
    PERHAPS = "perhaps"
    """A value of the member is a phone number if `is_number` returns true for it."""
    OTHER = "other"
    """The member's name does not indicate phone numbers."""


def holds(name: str) -> Holds:
    """Decide from a member's name whether its values are phone numbers. Case and punctuation make no difference."""
    return _holds(name) if len(name) <= LONGEST_KEPT else _holds.__wrapped__(name)


@lru_cache(maxsize=4096)
def _holds(name: str) -> Holds:
    plain = _NOT_NAMES.sub("", name.lower())
    if _ALWAYS.fullmatch(plain):
        return Holds.NUMBERS
    return Holds.PERHAPS if _SOMETIMES.fullmatch(plain) else Holds.OTHER


def normalised(number: str) -> str:
    """Return the number without separators. A leading `+` stays, because it is part of the number."""
    return number.translate(_SEPARATORS)


def is_number(text: str) -> bool:
    """Return whether a text, without its separators, is 7 to 15 digits with or without a leading `+`."""
    return _NUMBER.fullmatch(normalised(text)) is not None


def digits(text: str) -> int:
    """Count the digits of a text."""
    return sum(map(text.count, "0123456789"))
