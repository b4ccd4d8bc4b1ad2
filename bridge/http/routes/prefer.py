"""The header `Prefer` (RFC 7240), as far as the ingress knows it: `wait` and `respond-async`.

Starlette does not read it, and it is no structured field: a library for those (RFC 8941) would refuse valid ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_WAIT: Final = 60
"""Seconds; a caller that prefers to wait longer is told so by `Preference-Applied`."""
LONGEST_HEADER: Final = 512
"""Characters of all `Prefer` headers together. If they are longer, the bridge ignores them, as RFC 7240 allows."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT: Final = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PREFERENCE: Final = re.compile(
    rf"[ \t]*(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*(?:=[ \t]*(?P<value>[^;\"\s]*|{_QUOTED})[ \t]*)?(?:;.*)?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller prefers; `wait` is in seconds, None without a preference."""

    wait: int | None = None
    respond_async: bool = False

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`; empty where there is nothing to tell."""
        parts = ["respond-async"] if self.respond_async else []
        return ", ".join(parts if self.wait is None else [*parts, f"wait={self.wait}"])


def parse_prefer(headers: Sequence[str]) -> Preferences:
    """Read every `Prefer` header of a request.

    The first of a repeated preference counts (RFC 7240, section 2). What is unknown or malformed is ignored, as the
    same section has it; a `wait` beyond `LONGEST_WAIT` becomes that.
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
    """Read `delta-seconds` (RFC 9111, section 1.2.2), of any length."""
    return min(int(value), LONGEST_WAIT) if re.fullmatch(r"[0-9]+", value) else None
