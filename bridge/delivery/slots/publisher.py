"""The interface through which a relay publishes to Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery.position.position import Position
    from bridge.delivery.slots.state import PublisherState
    from bridge.events import Record


Revise: TypeAlias = "Callable[[Record, Record], tuple[Record, Record] | None]"
"""A callback for a record that a dead letter replaces. Its arguments are the record and the dead letter.

Another record of the same call may contain the id, key and topic of the replaced record, and must change. The callback
returns this other record and its new version, or None if there is no such record."""


def revise_nothing(_: Record, __: Record) -> None:
    """Return None. This is the `Revise` for records that do not refer to each other."""


class Publisher(Protocol):
    """Publishes one account's records together with the account's position. Only one task may use it at a time."""

    state: PublisherState
    """Whether records of the account can be published now, and the reason if not."""

    async def start(self) -> Position | None:
        """Take the account over from an earlier bridge. Return the committed position, or None if there is none.

        If the position can't be verified or decrypted, for example after a change of the password, the returned
        position is `LOST`, which has no session to resume.

        The method waits without limit until Kafka is available. Meanwhile `state` contains the reason.

        Raises:
            Fenced: another bridge has taken the account over since this method began.
        """

    async def publish(self, records: Sequence[Record], position: Position, revise: Revise = revise_nothing) -> None:
        """Write `records` and `position` in one transaction, exactly once (not with `at-least-once`).

        The method returns when they are in Kafka.

        The method tries again as long as Kafka is not available. If Kafka refuses a record because of its content or
        size, a dead letter replaces the record, and `revise` is called before the commit.

        Raises:
            Fenced: another bridge has taken the account over.
        """

    async def confirm(self) -> None:
        """Check whether this publisher still owns the account.

        The relay calls this when another client polls the account's CometD session. If Kafka can't be read, the result
        depends on the kind of bridge. A single bridge continues. A replica of a fleet gives the account up, because
        perhaps only this replica has lost its connection to Kafka, and two replicas must not poll the same session.

        Raises:
            Fenced: another bridge has taken the account over.
        """

    def sign_again(self) -> None:
        """Write the position again soon, because the account's keys have changed. Any task may call this."""

    async def stop(self) -> None:
        """Close the connections without a commit. This takes a few seconds at most, even if Kafka is not available."""
