"""Parses the header `Prefer` (RFC 7240). The bridge supports the preferences `wait` and `respond-async`.

Starlette does not parse this header. Libraries for structured fields (RFC 8941) would refuse some valid values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_WAIT: Final = 60
"""Maximum of `wait` in seconds. For a larger value, `Preference-Applied` tells the caller this maximum."""
LONGEST_HEADER: Final = 512
"""Maximum characters of all `Prefer` headers together. The bridge ignores longer headers, as RFC 7240 allows."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT: Final = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PREFERENCE: Final = re.compile(
    rf"[ \t]*(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*(?:=[ \t]*(?P<value>[^;\"\s]*|{_QUOTED})[ \t]*)?(?:;.*)?",
    re.DOTALL,
)
_DIGITS: Final = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of a caller. `wait` is in seconds, None if not sent."""

    wait: int | None = None
    respond_async: bool = False

    @property
    def applied(self) -> str:
        """The value of the header `Preference-Applied`, empty without preferences."""
        parts = ["respond-async"] if self.respond_async else []
        return ", ".join(parts if self.wait is None else [*parts, f"wait={self.wait}"])


def parse_prefer(headers: Sequence[str]) -> Preferences:
    """Parse all `Prefer` headers of a request.

    If a preference is repeated, the first one counts. Unknown and malformed preferences are ignored (both: RFC 7240,
    section 2). A `wait` above `LONGEST_WAIT` becomes `LONGEST_WAIT`.
    """
    found: dict[str, str] = {}
    joined = ",".join(headers)
    for element in _ELEMENT.findall(joined) if len(joined) <= LONGEST_HEADER else ():
        if preference := _PREFERENCE.fullmatch(element):
            found.setdefault(preference["name"].lower(), _unquoted(preference["value"] or ""))
    return Preferences(_seconds(found.get("wait", "")), found.get("respond-async") == "")


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _seconds(value: str) -> int | None:
    """Parse `delta-seconds` (RFC 9111, section 1.2.2), with any number of digits. Return None if it is malformed."""
    return min(int(value), LONGEST_WAIT) if _DIGITS.fullmatch(value) else None
