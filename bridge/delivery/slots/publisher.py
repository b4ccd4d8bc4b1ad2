"""The two promises that the relay needs of Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery.position.position import Position
    from bridge.delivery.slots.state import PublisherState
    from bridge.events import Record


Revise: TypeAlias = "Callable[[Record, Record], tuple[Record, Record] | None]"
"""Hears of a record and of the dead letter in its place. Returns a record of the same call that tells where the first
one lies, and what to publish in the place of that record; None where there is none."""


def revise_nothing(_: Record, __: Record) -> None:
    """Be the `Revise` of records that tell nothing of each other."""


class Publisher(Protocol):
    """Publishes one account's records, and keeps its position beside them. Used by one task at a time."""

    state: PublisherState
    """Whether Kafka takes the account's records now, and if not, why."""

    async def start(self) -> Position | None:
        """Take over the account (fencing a predecessor) and return the committed position, None where there is none.

        A position whose secret can't be opened (the password has changed) comes without a session to go on with
        (`client_id` ""), but with the time that a gap starts from.

        Waits until Kafka is there, however long that takes; `state` says meanwhile why not.
        """

    async def publish(self, records: Sequence[Record], position: Position, revise: Revise = revise_nothing) -> None:
        """Return once `records` and `position` are in Kafka, atomically, and exactly once.

        Tries again for as long as Kafka is away. A record that Kafka refuses for itself becomes a dead letter in the
        same transaction, and `revise` hears of it before the transaction is committed.

        Raises:
            Fenced: another bridge has taken the account over.
        """

    async def confirm(self) -> None:
        """Look whether the account is still this publisher's, because another client polls its CometD session.

        Where Kafka can't be asked, a single bridge goes on. A replica of a fleet gives way: it may be cut off from
        Kafka while the other replicas are not, and two replicas must not poll one session in turn.

        Raises:
            Fenced: another bridge has taken the account over.
        """

    async def stop(self) -> None:
        """Release the connections, within a few seconds, also while Kafka is away. Commits nothing."""
