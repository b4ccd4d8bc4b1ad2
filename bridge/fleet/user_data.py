"""What the replicas tell each other through the group: bytes beside their subscription and their assignment.

Any client that may join the group can send such bytes. So they are bounded, and what does not fit is ignored: it costs
its sender the slots, and nobody else anything.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec

VERSION: Final = 1
"""Of both structs. A change that an earlier bridge could not understand needs another name of the protocol, too."""
LARGEST: Final = 1 << 18
"""Bytes that are looked at."""
MOST_SLOTS: Final = 1000
MOST_REPLICAS: Final = 1000
LAST_EPOCH: Final = 1 << 53

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,253}$")]
Epoch = Annotated[int, msgspec.Meta(ge=0, le=LAST_EPOCH)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
SlotNumbers = Annotated[list[Annotated[int, msgspec.Meta(ge=0, lt=MOST_SLOTS)]], msgspec.Meta(max_length=MOST_SLOTS)]


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica sends when it joins."""

    version: Literal[1] = 1
    replica: Name
    since: Seconds
    """When the replica started, in seconds since the epoch of the clock."""
    epoch: Epoch
    """The number of the last assignment that the replica got; 0 before the first."""
    slots: SlotNumbers
    """The slots that the replica owns now."""
    able: bool = True
    """Whether the replica reaches Web Services."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One replica, as the table shows it."""

    name: Name
    since: Seconds
    slots: SlotNumbers


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns which slot. The group's leader sends the whole table to each replica, so all tell the same."""

    version: Literal[1] = 1
    epoch: Epoch
    slots: Annotated[int, msgspec.Meta(ge=0, le=MOST_SLOTS)]
    """How many slots there are."""
    members: Annotated[list[Member], msgspec.Meta(max_length=MOST_REPLICAS)]
    """By name."""
    orphaned: SlotNumbers
    """The slots that no replica owned before this assignment: their owner is gone, or was never there."""


Data = TypeVar("Data", Membership, Table)


def decode(data: bytes | None, kind: type[Data]) -> Data | None:
    """Read user data; None where it is not what a bridge of this version writes."""
    if not data or len(data) > LARGEST:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
