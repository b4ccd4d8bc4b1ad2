"""How many requests one caller may have under way, so that none takes the places of all."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bridge.http.problems.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRY_AFTER: Final = 1
"""Seconds."""


class RequestShares:
    """Counts the requests under way; a caller may have as many as there are places left free.

    So a caller who is alone gets half of them, two get a third each, and there is always room for one more.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Hold a place for one request of the caller.

        Raises:
            Refused: 429, the caller has its share.
        """
        if self._held[caller] >= self._places - self._held.total():
            detail = (
                "Too many requests of this caller are under way; nothing was forwarded. Let some of them end first."
            )
            raise Refused(429, "too-many-requests", detail, headers={"Retry-After": str(RETRY_AFTER)})
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
