"""The last part of a long reply: its events come with the acknowledgement, and none is lost behind a fault."""

from __future__ import annotations

from typing import Final

from tests.behaviour.cometd_listener import Listener
from tests.unit.odd_server import OddServer
from tests.waiting import eventually

PART: Final = 1500
"""Bytes."""
EVENTS: Final = range(100, 200)
"""About 45 bytes each: a reply of several parts, the last of which has many events."""


def publish(server: OddServer) -> None:
    for event in EVENTS:
        server.publish(event)


async def test_the_last_part_has_the_acknowledgement() -> None:
    """All events of a reply's last part come in one batch with the acknowledgement, so they share a transaction."""
    async with OddServer() as server, Listener(server.url, max_reply_bytes=PART) as listener:
        await listener.listening()
        publish(server)
        await listener.has_kept(*EVENTS)
        *parts, last = [batch for batch in listener.sink.batches if batch.events]
        assert len(parts) > 1
        assert all(part.more for part in parts)
        assert not last.more
        assert last.acknowledgement is not None
        assert len(last.events) > 1


async def test_events_before_a_fault_in_the_last_part_are_kept() -> None:
    """Without the extension the events of a last part arrive although its end is not JSON, because none comes again.

    The last event before the fault can't be told from it.
    """
    async with OddServer() as server:
        server.spoil("/meta/handshake", ["ext"], b"null")
        async with Listener(server.url, max_reply_bytes=PART) as listener:
            await listener.listening()
            publish(server)
            server.add(b"}")
            whole = list(EVENTS[:-1])
            await eventually(lambda: len(listener.sink.arrivals) >= len(whole))
            assert listener.sink.arrivals[: len(whole)] == whole
