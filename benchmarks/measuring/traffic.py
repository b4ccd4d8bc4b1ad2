"""The events that Web Services sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.real import RealWebServices


@dataclass(frozen=True)
class Traffic:
    """A kind of traffic. Every event has a number of its own, by which it is found in Kafka."""

    name: str
    mixed: bool
    """Acknowledgements and user events in turn, each on a record of its own. Otherwise acknowledgements only."""
    keys: int = 1
    """The number of records, where it is not mixed."""

    async def send(self, server: RealWebServices, numbers: range, *, rate: float = 0.0, in_turn: bool = False) -> None:
        """Let the server send the events with these numbers; return when all are sent.

        `rate` is in events/s, 0 for as fast as the server can. Every session gets each event; with `in_turn` one
        session gets one event, the next session the next event.
        """
        await server.generate(
            len(numbers), start=numbers.start, keys=self.keys, rate=rate, in_turn=in_turn, mixed=self.mixed
        )


MIXED: Final = Traffic("mixed traffic", mixed=True)
"""Both kinds as the page of the Web Services API has them (about 300 and 470 bytes), and `sentAt`."""
UNIFORM: Final = Traffic("acknowledgements on 1,000 keys", mixed=False, keys=1000)
"""One kind of event, about 300 bytes, on few keys: the only traffic of earlier results."""


class Numbers:
    """Gives out the numbers of events, each once."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> range:
        """The next `count` numbers."""
        self._next += count
        return range(self._next - count, self._next)
