"""What the CometD session hands over: the batches of each reply, and word of each session that opens or goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event message as it came: the channel, and the body as the bytes of its JSON, not decoded.

    `data` is a view on the whole reply: copy it if it must outlive the batch. Empty where the message had no `data`.
    """

    channel: str
    data: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one reply, or of a part of it, in the server's order.

    The server keeps its copy of them until the next poll carries `acknowledgement` back, which happens when the sink
    has returned. After a failure it sends everything after `base` again. A long reply comes as several batches, while
    the rest of it is on the wire; only the last one has the acknowledgement.
    """

    client_id: str
    base: int | None
    """The `ext.ack` number that this poll carried: the events are all that came after it. None without it."""
    acknowledgement: int | None
    """The `ext.ack` number of this reply. None without the extension: then these events exist only here."""
    events: Sequence[Event]
    received_at: float
    """Seconds since the epoch."""
    offset: int = 0
    """How many events of the same reply came in earlier batches."""
    more: bool = False
    """Whether the reply goes on: its acknowledgement is not known yet."""

    @property
    def sent_again(self) -> bool:
        """Whether the server sends these events again until they are acknowledged. Else they exist only here."""
        return self.acknowledgement is not None or (self.more and self.base is not None)


@dataclass(frozen=True, slots=True)
class Resume:
    """What a new process needs to go on with the session of an earlier one (the server asks for the cookies too)."""

    client_id: str
    acknowledgement: int | None
    cookies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Opening:
    """A session was opened, or an earlier process's session goes on."""

    client_id: str
    resumed: bool
    ack_extension: bool
    reason: str
    """Why it was opened: `start`, or what ended the one before (`unknown-client`, `advice-none`, `watchdog`...)."""


class Sink(Protocol):
    """Takes what the session hands over. The session polls on only when `received` has returned."""

    async def opened(self, opening: Opening) -> None:
        """A session was opened or resumed; its first batch, perhaps an empty one, follows."""

    async def displaced(self) -> None:
        """Another client polls this session: perhaps a successor. Raise to leave it the session."""

    async def arrived(self, batch: Batch) -> None:
        """Put the batch, which the server does not send again, where a crash can't reach it; `received` follows later.

        Called also while another batch is with `received`. Batches are received in the order in which they arrived.
        """

    async def received(self, batch: Batch) -> None:
        """Keep every event of the batch for good, then return: the next poll lets the server forget them."""
