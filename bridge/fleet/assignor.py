"""Divides the slots among the replicas: a pure function of what each replica says it owns.

Balanced: two replicas never differ by more than one slot, nor by more than one busy slot (a slot with accounts).
Sticky: a replica keeps its slots as far as the balance allows. A slot that moves costs its accounts a handover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


class Claim(NamedTuple):
    """What a replica says it owns, and since when: `epoch` is the number of the assignment that gave it the slots."""

    epoch: int
    slots: frozenset[int]
    able: bool = True
    """Whether the replica reaches Web Services. While some replicas do, the others get no slot."""


def assign(claims: Mapping[str, Claim], slots: int, busy: Collection[int] = ()) -> dict[str, frozenset[int]]:
    """Give each of the slots 0 to `slots - 1` to one replica. Without replicas nothing is given.

    Where two replicas claim the same slot, the claim with the higher epoch counts: a replica that was suspended still
    says what it owned before.

    Args:
        claims: by the replica's id. Slots beyond the number of slots are ignored.
        slots: how many slots there are.
        busy: the slots that have accounts. They are divided first, so that a newcomer gets its share of the work, and a
            single busy slot does not move for the sake of idle slots.
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
    # A replica that got one busy slot more is the first to get one slot more in all.
    by_share = sorted(_order(claims, owners, of_idle), key=lambda member: -len(working[member]))
    idle = _divide(of_idle, by_share, {member: len(own) for member, own in working.items()})
    return {member: frozenset(working[member] | idle[member]) for member in claims}


def _owners(claims: Mapping[str, Claim], slots: int) -> dict[int, str]:
    """Return who owns which slot, one owner a slot."""
    owners: dict[int, str] = {}
    for member in sorted(claims, key=lambda one: (claims[one].epoch, one)):
        owners |= dict.fromkeys((slot for slot in claims[member].slots if 0 <= slot < slots), member)
    return owners


def _order(claims: Iterable[str], owners: Mapping[int, str], slots: Collection[int]) -> list[str]:
    """Return the replicas, those first that own the most of `slots`: they get what can't be divided evenly."""
    owned = dict.fromkeys(claims, 0)
    for slot in slots:
        if slot in owners:
            owned[owners[slot]] += 1
    return sorted(owned, key=lambda member: (-owned[member], member))


def _divide(owners: Mapping[int, str | None], order: list[str], has: Mapping[str, int]) -> dict[str, set[int]]:
    """Divide the slots in `owners`; `has` says how many others each replica has already, which count for its share."""
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
