"""The messages that replicas exchange through the fleet's consumer group.

Kafka's group protocol has a field for user data, both in the subscription and in the assignment. The messages are JSON
in these fields. Every client with the right to join the group can send such data, so all sizes and numbers have limits.
Data beyond the limits is ignored. A member that sends such a claim gets no slot, and the other members are not
affected.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec

from bridge.errors import UNDECODABLE

VERSION: Final = 1
"""The version of both messages. An incompatible change also needs a new name of the group's protocol
(`bridge.delivery.group.PROTOCOL`)."""
LARGEST: Final = 1 << 18
"""Maximum size of a message in bytes. Larger messages are ignored."""
MOST_SLOTS: Final = 1000
MOST_REPLICAS: Final = 1000
LAST_EPOCH: Final = 1 << 53

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,253}$")]
Epoch = Annotated[int, msgspec.Meta(ge=0, le=LAST_EPOCH)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
SlotNumbers = Annotated[list[Annotated[int, msgspec.Meta(ge=0, lt=MOST_SLOTS)]], msgspec.Meta(max_length=MOST_SLOTS)]


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """The claim that a replica sends when it joins the group, and again for each rebalance."""

    version: Literal[1] = 1
    replica: Name
    since: Seconds
    """When the replica started, in seconds since 1970."""
    epoch: Epoch
    """The number of the newest assignment that the replica has received. 0 before the first assignment."""
    slots: SlotNumbers
    """The slots that the replica owns now."""
    able: bool = True
    """Whether the replica reaches Web Services."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One replica in a `Table`."""

    name: Name
    since: Seconds
    slots: SlotNumbers


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of each slot.

    The leader of the group sends the whole table to each replica, so all replicas show the same fleet.
    """

    version: Literal[1] = 1
    epoch: Epoch
    slots: Annotated[int, msgspec.Meta(ge=0, le=MOST_SLOTS)]
    """The number of slots."""
    members: Annotated[list[Member], msgspec.Meta(max_length=MOST_REPLICAS)]
    """The replicas, sorted by name."""
    orphaned: SlotNumbers
    """The slots that no replica claimed in this rebalance: each has lost its owner, or never had an owner."""


Data = TypeVar("Data", Membership, Table)


def decode(data: bytes | None, kind: type[Data]) -> Data | None:
    """Return the message in a member's user data. None if the data is not a valid message of this version."""
    if not data or len(data) > LARGEST:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except UNDECODABLE:
        return None
