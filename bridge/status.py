"""The state of this process for the REST side: readiness, notes, sessions, and the fleet."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bridge.delivery import OthersPositions
from bridge.http import FleetView, Missing, Note, ReplicaView, SlotView

if TYPE_CHECKING:
    from bridge.accounts import BridgeAccounts
    from bridge.events import Encoding
    from bridge.fleet import Fleet
    from bridge.http import SessionView
    from bridge.requests import RequestConsumer
    from bridge.settings import AccountsFile, Kafka

MOST_NOTES: Final = 10
"""Maximum number of the accounts file's faults in the reply to GET /health/ready. The log has all of them."""


class Status:
    """The state of this process for the REST side. `replica` is its name, `since` its start in seconds since the epoch.

    `fleet` is None without a fleet, `file` without an accounts file, `requests` without requests by Kafka.
    """

    def __init__(
        self,
        settings: Kafka,
        encoding: Encoding,
        accounts: BridgeAccounts,
        *,
        fleet: Fleet | None,
        file: AccountsFile | None,
        requests: RequestConsumer | None,
        replica: str,
        since: float,
    ) -> None:
        self._encoding = encoding
        self._accounts = accounts
        self._fleet = fleet
        self._file = file
        self._requests = requests
        self._replica = replica
        self._since = since
        self._others = OthersPositions(settings, accounts.keys)

    def readiness(self) -> list[Missing]:
        """Return the reasons why the bridge can't relay events or forward operations. Empty if the bridge is ready."""
        if self._encoding.missing is not None:  # no account starts before the schema registry answers
            return [Missing(name="schema-registry", reason=self._encoding.missing)]
        missing = [one for account in self._accounts.bridges.values() for one in account.missing()]
        if self._fleet is not None and self._fleet.missing is not None:
            missing.append(Missing(name="fleet", reason=self._fleet.missing))
        return missing

    def notes(self) -> list[Note]:
        """Return the faults that a person should correct, although the bridge works."""
        faults = [] if self._file is None else list(self._file.faults)
        shown = faults if len(faults) <= MOST_NOTES else [*faults[:MOST_NOTES], f"and {len(faults) - MOST_NOTES} more"]
        notes = [Note(name="accounts-file", reason=fault) for fault in shown]
        if self._requests is not None and self._requests.failing is not None:
            notes.append(Note(name="request-topic", reason=self._requests.failing))
        return notes

    def sessions(self) -> list[SessionView]:
        """Return the state of the CometD session of each account that this replica relays."""
        return [one.view(self._replica) for one in self._accounts.in_order if not one.stands_by]

    async def fleet_sessions(self) -> list[SessionView]:
        """Return the state of the CometD session of each account. Other replicas' sessions are read from Kafka.

        Raises:
            KafkaUnavailable: the positions of the other replicas' sessions can't be read.
        """
        views = {one.account: one for one in self.sessions()}
        if self._fleet is not None and self._fleet.table is not None:
            owners = {slot: one.name for one in self._fleet.table.members for slot in one.slots}
            elsewhere = {
                name: owners.get(slot)
                for slot, names in self._fleet.accounts().items()
                for name in names
                if name not in views
            }
            positions = await self._others.read(elsewhere, self._fleet.table.slots)
            views |= {
                one.name: one.view_elsewhere(elsewhere[one.name], positions.get(one.name))
                for one in self._accounts.in_order
                if one.name in elsewhere
            }
        return [views[one.name] for one in self._accounts.in_order if one.name in views]

    def fleet(self) -> FleetView:
        """Return which replica relays which account. Without a fleet this bridge relays all accounts."""
        if self._fleet is not None:
            members = [] if self._fleet.table is None else self._fleet.table.members
            replicas = [(one.name, one.since, one.slots) for one in members]
            by_slot = self._fleet.accounts()
        else:
            by_slot = defaultdict(list)
            for account, slot in self._accounts.slots.numbers().items():
                by_slot[slot].append(account)
            replicas = [(self._replica, self._since, sorted(by_slot))]
        owners = {slot: name for name, _, slots in replicas for slot in slots}
        return FleetView(
            replicas=[
                ReplicaView(
                    name=name,
                    slots=slots,
                    accounts=sorted(account for slot in slots for account in by_slot.get(slot, ())),
                    since=datetime.fromtimestamp(since, UTC),
                )
                for name, since, slots in replicas
            ],
            slots=[
                SlotView(slot=slot, replica=owners.get(slot), accounts=sorted(accounts))
                for slot, accounts in sorted(by_slot.items())
            ],
        )
