"""Limits the concurrent requests of each caller, so that one caller can't block all others."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bridge.http.problems.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRY_AFTER: Final = 1
"""Seconds after which a refused caller may try again."""


class RequestShares:
    """Counts the requests under way.

    A caller may hold as many places as are still free. So a caller that is alone can hold half of the places, and two
    callers can hold a third each. The other places stay free for new callers.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Hold a place for one request of the caller.

        Raises:
            Refused: (429) the caller has too many requests under way.
        """
        if self._held[caller] >= self._places - self._held.total():
            detail = (
                "Too many requests of this caller are under way. Nothing was forwarded. Wait for some to end first."
            )
            raise Refused(429, "too-many-requests", detail, headers={"Retry-After": str(RETRY_AFTER)})
        self._held[caller] += 1
        try:
            yield
        finally:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
