"""The accounts of a slot that this process relays now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.delivery.slots.state import CONNECTED

if TYPE_CHECKING:
    from collections.abc import Container

    from bridge.delivery.position.owner import Owner
    from bridge.delivery.position.reader import Reading
    from bridge.delivery.slots.kafka_publisher import KafkaPublisher
    from bridge.delivery.slots.state import PublisherState
    from bridge.delivery.slots.transaction import Call


class Members(dict[str, "KafkaPublisher"]):
    """The publishers of the accounts, by the account's name. Accounts join and leave while the slot works."""

    def __init__(self) -> None:
        super().__init__()
        self._last_revisions: dict[str, int] = {}

    def claimed(self) -> list[KafkaPublisher]:
        """Return the accounts that this bridge has taken over."""
        return [one for one in self.values() if one.claim is not None]

    def unclaimed(self, owner: Owner) -> list[KafkaPublisher]:
        """Return the accounts that need a claim with this owner.

        These are the accounts without a claim, those whose claim has another pair of transactional ids than the slot
        uses now, and those whose password has changed.
        """
        name = str(owner)
        return [one for one in self.values() if one.claim is None or one.claim.owner != name or one.keys_changed]

    def claimed_by_another(self, reading: Reading) -> list[KafkaPublisher]:
        """Return the accounts whose records in the reading show that another bridge has taken them over."""
        found = [(self.get(account), records) for account, records in reading.accounts.items()]
        return [member for member, records in found if member is not None and member.is_claimed_by_another(records)]

    def enter(self, state: PublisherState, *, without: Container[str] = ()) -> None:
        """Change the state of all accounts, except those in `without`."""
        for account, member in self.items():
            if account not in without:
                member.enter(state)

    def committed(self, call: Call) -> None:
        """Report to the account's publisher, and to the caller, that a call is committed."""
        member = self.get(call.account)
        if member is not None:
            member.committed(call.attempt)
            if call.apart:
                member.enter(CONNECTED)
        if not call.done.done():
            call.done.set_result(None)

    def remove(self, member: KafkaPublisher) -> None:
        """Remove an account, if it is still there."""
        if self.get(member.account) is member:
            del self[member.account]
            if member.claim is not None:
                self._last_revisions[member.account] = member.claim.revision

    def last_revision(self, account: str) -> int:
        """Return the last revision that this slot wrote before the account left it, or -1."""
        return self._last_revisions.get(account, -1)
