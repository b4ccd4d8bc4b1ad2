"""Which events of a reply are new, what sequence each has, and what position each transaction leaves: pure arithmetic.

An event's sequence counts the events of its CometD session from 0, in the server's order. Until a reply is
acknowledged, the server sends its events again, always in the same order. So Kafka already has the first
`next_sequence - base_sequence` of them.
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
    """Of `events[0]`; the others count on from it."""
    position: Position
    """What the transaction commits beside the events: where a successor goes on."""


def start_of(client_id: str, *, ack_extension: bool) -> Position:
    """Return the position of a session that has just been opened."""
    return msgspec.structs.replace(EMPTY_POSITION, client_id=client_id, acknowledgement=0 if ack_extension else None)


def chunks(position: Position, batch: Batch, size: int) -> Iterator[Chunk]:
    """Cut a reply into transactions of at most `size` events, without those that `position` says are in Kafka.

    At least one step comes: an empty reply, too, moves the position. The acknowledgement moves with the last step of a
    reply's last batch only, so that a crash between two of them brings the whole reply again, to be cut off at
    `next_sequence`.
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
