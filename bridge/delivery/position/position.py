"""How far an account's relay has come: what the next process must know to go on where this one ended."""

from __future__ import annotations

from typing import Final

import msgspec


class Position(msgspec.Struct, frozen=True):
    """The committed state of one account's relay (DESIGN: the position lives in Kafka, in the events' own transaction).

    `next_sequence - base_sequence` is the number of events after `acknowledgement` that are already in Kafka: when the
    server sends everything after `acknowledgement` again, so many of the first ones are skipped.
    """

    client_id: str
    """The CometD session's clientId. Secret: whoever has it and the cookies owns the session."""
    cookies: dict[str, str]
    """The session's cookies, by name. Secret."""
    acknowledgement: int | None
    """The last `ext.ack` number whose whole reply is in Kafka; None without the ack extension."""
    base_sequence: int
    """Sequence of the first event after `acknowledgement`."""
    next_sequence: int
    """Sequence of the first event that is not yet in Kafka."""
    last_reply_at: float | None
    """When the last reply that is wholly in Kafka was received, in seconds since the epoch: where a gap would start.

    0.0 before the account's first reply; None where an earlier session was lost, and nothing genuine tells when."""


EMPTY_POSITION: Final = Position(
    client_id="", cookies={}, acknowledgement=None, base_sequence=0, next_sequence=0, last_reply_at=0.0
)
"""The position before the first session, and after one that was ended on purpose."""
LOST: Final = msgspec.structs.replace(EMPTY_POSITION, last_reply_at=None)
"""The position where there may have been a session, and nothing genuine tells of it."""
