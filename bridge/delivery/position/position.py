"""The position of an account's relay: all data that another process needs to continue the relay."""

from __future__ import annotations

from typing import Final

import msgspec


class Position(msgspec.Struct, frozen=True):
    """The committed state of an account's relay. Events and position are written to Kafka in the same transaction.

    `next_sequence - base_sequence` is the number of events after `acknowledgement` that are already in Kafka. If the
    server sends all events after `acknowledgement` again, the relay skips this number of events.
    """

    client_id: str
    """The clientId of the CometD session, a secret. Anybody who has clientId and cookies can use the session."""
    cookies: dict[str, str]
    """The cookies of the session by name, a secret."""
    acknowledgement: int | None
    """`ext.ack` of the last reply whose events are all in Kafka. None without the ack extension."""
    base_sequence: int
    """Sequence number of the first event after `acknowledgement`."""
    next_sequence: int
    """Sequence number of the first event that is not yet in Kafka."""
    last_reply_at: float | None
    """Arrival time, in seconds since the epoch, of the last reply whose events are all in Kafka.

    If the session is lost, the `gap` event begins at this time. The value is 0.0 before the account's first reply, and
    None after a loss at an unknown time."""


EMPTY_POSITION: Final = Position(
    client_id="", cookies={}, acknowledgement=None, base_sequence=0, next_sequence=0, last_reply_at=0.0
)
"""The position before the first session, and after a session that the bridge has ended."""
LOST: Final = msgspec.structs.replace(EMPTY_POSITION, last_reply_at=None)
"""The position to use if a session may have existed, but no record with a valid signature exists."""
