"""Divides the slots among the replicas of a fleet. The result depends only on the replicas' claims.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it. A claim is the message in
which a replica names the slots that it owns.

The division is balanced: two replicas never differ by more than one slot. Two replicas also never differ by more than
one busy slot (a slot with accounts). The division is sticky: a replica keeps its slots as far as the balance allows,
because each account of a slot that moves has to be handed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class Claim(NamedTuple):
    """The slots that a replica owns, as the replica itself reports them."""

    epoch: int
    """The number of the newest assignment that the replica has received. Later assignments have higher numbers."""
    slots: frozenset[int]
    able: bool = True
    """Whether the replica reaches Web Services. If at least one replica reaches Web Services, only such replicas get
    slots."""


def assign(claims: Mapping[str, Claim], slots: int, busy: Collection[int] = ()) -> dict[str, frozenset[int]]:
    """Give each of the slots 0 to `slots - 1` to one replica, and return each replica's slots by the replica's id.

    If two replicas claim the same slot, the claim with the higher epoch counts. The replica with the lower epoch was
    probably suspended, and has lost its slots meanwhile.

    Args:
        claims: the claim of each replica, by the replica's id. Claims to slots with the number `slots` or above are
            ignored.
        slots: the number of slots.
        busy: the slots that have accounts, which are divided before the idle slots. So a new replica gets its share of
        the accounts, and no busy slot moves only to balance the idle slots.
    """
    if not claims:
        return {}
    able = {member: claim for member, claim in claims.items() if claim.able}
    if len(able) < len(claims):
        without: dict[str, frozenset[int]] = dict.fromkeys(claims, frozenset())
        return without | assign(able or {one: claim._replace(able=True) for one, claim in claims.items()}, slots, busy)
    owners = _owners(claims, slots)
    of_busy = {slot: owners.get(slot) for slot in range(slots) if slot in busy}
    of_idle = {slot: owners.get(slot) for slot in range(slots) if slot not in busy}
    working = _divide(of_busy, _order(claims, owners, of_busy), {})
    # A replica with one more busy slot than others is also the first to get one more slot in total.
    by_share = sorted(_order(claims, owners, of_idle), key=lambda member: -len(working[member]))
    idle = _divide(of_idle, by_share, {member: len(own) for member, own in working.items()})
    return {member: frozenset(working[member] | idle[member]) for member in claims}


def _owners(claims: Mapping[str, Claim], slots: int) -> dict[int, str]:
    """Return the replica that owns each claimed slot. The result has no entry for an unclaimed slot."""
    owners: dict[int, str] = {}
    for member in sorted(claims, key=lambda one: (claims[one].epoch, one)):
        owners |= dict.fromkeys((slot for slot in claims[member].slots if 0 <= slot < slots), member)
    return owners


def _order(claims: Iterable[str], owners: Mapping[int, str], slots: Collection[int]) -> list[str]:
    """Return the replicas, sorted by how many of `slots` they own, beginning with the most.

    If the slots can't be divided evenly, the first replicas get one slot more than the others.
    """
    owned = dict.fromkeys(claims, 0)
    for slot in slots:
        if slot in owners:
            owned[owners[slot]] += 1
    return sorted(owned, key=lambda member: (-owned[member], member))


def _divide(owners: Mapping[int, str | None], order: list[str], has: Mapping[str, int]) -> dict[str, set[int]]:
    """Divide the slots in `owners` (slot to present owner) among the replicas in `order`.

    `has` says how many other slots each replica already has. These slots count towards the replica's share.
    """
    share, more = divmod(len(owners) + sum(has.values()), len(order))
    room = {member: share + (place < more) - has.get(member, 0) for place, member in enumerate(order)}
    kept: dict[str, set[int]] = {member: set() for member in order}
    free = []
    for slot in sorted(owners):
        owner = owners[slot]
        if owner is not None and len(kept[owner]) < room[owner]:
            kept[owner].add(slot)
        else:
            free.append(slot)
    with_room = [member for member in order for _ in range(room[member] - len(kept[member]))]
    for slot, member in zip(free, with_room, strict=True):
        kept[member].add(slot)
    return kept
