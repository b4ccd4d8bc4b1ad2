"""Computes which events of a reply are new, the sequence of each event, and the position of each transaction.

An event's sequence is its number within its CometD session, from 0, in the server's order. The server sends the events
of a reply again, in the same order, until the reply is acknowledged. Kafka already has the first
`next_sequence - base_sequence` of these events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bridge.delivery import EMPTY_POSITION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.cometd import Batch, Event
    from bridge.delivery import Position


class Chunk(NamedTuple):
    """The content of one transaction."""

    events: Sequence[Event]
    first_sequence: int
    """The sequence of `events[0]`."""
    position: Position
    """The position that the transaction commits beside the events. A successor continues there."""


def start_of(client_id: str, opened_at: float, *, ack_extension: bool) -> Position:
    """Return the position of a session that was opened at `opened_at`, in seconds since the epoch."""
    return msgspec.structs.replace(
        EMPTY_POSITION,
        client_id=client_id,
        acknowledgement=0 if ack_extension else None,
        last_reply_at=opened_at,
    )


def chunks(position: Position, batch: Batch, size: int) -> Iterator[Chunk]:
    """Split a batch into transactions of at most `size` events, without the events that Kafka has by `position`.

    There is at least one chunk, because an empty reply moves the position too. Only the last chunk of a reply moves the
    acknowledgement. After a crash between two chunks the server therefore sends the whole reply again, and the events
    before `next_sequence` are skipped.
    """
    sent_again = batch.sent_again
    base = position.base_sequence + batch.offset if sent_again else position.next_sequence
    end = max(base + len(batch.events), position.next_sequence)
    for first in range(position.next_sequence, end - size, size):
        upto = first + size
        kept = position.base_sequence if sent_again else upto
        position = msgspec.structs.replace(position, base_sequence=kept, next_sequence=upto)
        yield Chunk(batch.events[first - base : upto - base], first, position)
    first = position.next_sequence
    if batch.more and sent_again:
        yield Chunk(batch.events[first - base :], first, msgspec.structs.replace(position, next_sequence=end))
        return
    position = msgspec.structs.replace(
        position,
        acknowledgement=batch.acknowledgement if sent_again else position.acknowledgement,
        base_sequence=end,
        next_sequence=end,
        last_reply_at=batch.received_at,
    )
    yield Chunk(batch.events[first - base :], first, position)
