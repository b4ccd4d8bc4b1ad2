"""The values that a CometD session passes to its sink, and the sink's methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event message: the channel, and the body as undecoded JSON (empty if the message has no `data`).

    `data` is a memoryview into the whole reply. Copy `data` to keep it longer than the batch.
    """

    channel: str
    data: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one reply, or of a part of it, in the server's order.

    The server keeps its copy of the events until a poll sends `acknowledgement` back, after the sink has returned.
    Without such a poll the server sends all events after `base` again. A long reply is split into several batches, and
    only the last batch has the acknowledgement.
    """

    client_id: str
    base: int | None
    """The `ext.ack` number of the poll. The reply has all events after this number. None without the extension."""
    acknowledgement: int | None
    """The `ext.ack` number of this reply. None without the extension, or if more batches of the reply follow."""
    events: Sequence[Event]
    received_at: float
    """Seconds since the epoch."""
    offset: int = 0
    """Number of events of the same reply in earlier batches."""
    more: bool = False
    """Whether more batches of the same reply follow."""

    @property
    def sent_again(self) -> bool:
        """Whether the server sends these events again until they are acknowledged. If not, it has dropped its copy."""
        return self.acknowledgement is not None or (self.more and self.base is not None)


@dataclass(frozen=True, slots=True)
class Resume:
    """The data that a new process needs to continue an earlier process's session. The server checks the cookies."""

    client_id: str
    acknowledgement: int | None
    cookies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Opening:
    """A session that was opened, or resumed from an earlier process."""

    client_id: str
    resumed: bool
    ack_extension: bool
    reason: str
    """`start`, or why the previous session ended (`unknown-client`, `advice-none`, `watchdog`...)."""


class Sink(Protocol):
    """Stores the batches of a session. The session polls again only after `received` has returned."""

    async def opened(self, opening: Opening) -> None:
        """Store a new session, or record that a session was resumed.

        The session's first batch follows, and may be empty. For a new session this method is called right after the
        handshake. Once the method has returned, another process can continue the session. For a resumed session this
        method is called just before the first batch.
        """

    async def displaced(self) -> None:
        """Called when another client's poll has ended this session's poll. Raises if that client owns the account."""

    async def arrived(self, batch: Batch) -> None:
        """Save a batch that the server does not send again, for the case of a crash.

        The session passes the same batch to `received` later. The session may call `arrived` while `received` is
        storing another batch. Both methods get the batches in the same order.
        """

    async def received(self, batch: Batch) -> None:
        """Store every event of the batch durably, then return. The next poll acknowledges the events."""
