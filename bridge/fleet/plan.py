"""One replica's part in the rebalances of the fleet's consumer group.

The replica sends a claim, which names the slots that it owns. If Kafka makes the replica the leader of the group, the
replica divides the slots. In the end the replica receives an assignment, with a table of all replicas and their slots.
A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from bridge.fleet.assignor import Claim, assign
from bridge.fleet.user_data import LAST_EPOCH, MOST_SLOTS, Member, Membership, Table, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

log = structlog.get_logger(__name__)


class FleetPlan:
    """The `GroupPlan` of the fleet.

    Args:
        replica: the name of this replica.
        since: when this replica started, in seconds since the epoch.
        owned: returns the slots that this replica owns now.
        able: returns whether this replica reaches Web Services.
        busy: returns the slots that have accounts. Its argument is the number of slots.
        on_table: called for each assignment, with the table of all replicas and with this replica's slots.
    """

    def __init__(
        self,
        replica: str,
        since: float,
        *,
        owned: Callable[[], Collection[int]],
        able: Callable[[], bool],
        busy: Callable[[int], Collection[int]],
        on_table: Callable[[Table, frozenset[int]], None],
    ) -> None:
        self._replica = replica
        self._since = since
        self._owned = owned
        self._able = able
        self._busy = busy
        self._on_table = on_table
        self._epoch = 0

    def claim(self) -> bytes:
        """Return this replica's claim, as JSON."""
        return msgspec.json.encode(
            Membership(
                replica=self._replica,
                since=self._since,
                epoch=self._epoch,
                slots=sorted(self._owned()),
                able=self._able(),
            )
        )

    def divide(self, slots: int, members: Mapping[str, bytes | None]) -> Mapping[str, tuple[Collection[int], bytes]]:
        """Divide the slots among the members by their claims. A member with an unreadable claim gets no slot."""
        slots = min(slots, MOST_SLOTS)
        known = {one: said for one, data in members.items() if (said := decode(data, Membership)) is not None}
        if len(known) < len(members):
            log.warning("fleet-member-unreadable", members=len(members) - len(known), effect="the members get no slot")
        claims = {one: Claim(said.epoch, frozenset(said.slots), said.able) for one, said in known.items()}
        given = assign(claims, slots, self._busy(slots))
        claimed = {slot for claim in claims.values() for slot in claim.slots}
        table = Table(
            epoch=min(LAST_EPOCH, 1 + max((said.epoch for said in known.values()), default=0)),
            slots=slots,
            members=sorted(
                (Member(name=said.replica, since=said.since, slots=sorted(given[one])) for one, said in known.items()),
                key=lambda member: (member.name, member.since, member.slots),
            ),
            orphaned=sorted(set(range(slots)) - claimed),
        )
        data = msgspec.json.encode(table)
        return {one: (sorted(given.get(one, ())), data) for one in members}

    def assigned(self, slots: Collection[int], data: bytes | None) -> None:
        """Handle an assignment. An assignment with an unreadable table is ignored, because no bridge has sent it."""
        table = decode(data, Table)
        if table is None:
            log.warning("fleet-assignment-unreadable", effect="this replica ignores the assignment and keeps its slots")
            return
        self._epoch = table.epoch
        self._on_table(table, frozenset(slot for slot in slots if 0 <= slot < table.slots))
