"""Recovers operations in a fleet, where any replica may forward an operation, and any replica may die.

The replica that relays an account looks at its operations again and again. It must not touch an operation that
another living replica is forwarding. The ledger does not say who lives, but it says enough: a living replica writes a
verdict within `forward_deadline`, or has none and has stopped trying.
"""

from __future__ import annotations

import math
from asyncio import sleep
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bridge.errors import KafkaUnavailable
from bridge.operations.forwarding.recovery import Recovery
from bridge.operations.ledger.journal import APPEND_DEADLINE
from bridge.webservices import repeatable

if TYPE_CHECKING:
    from bridge.operations.view.state import OperationView

INTERVAL: Final = 5.0
"""Seconds between two looks at the operations of an account."""
MARGIN: Final = APPEND_DEADLINE + 5.0
"""Seconds beyond `forward_deadline` that a living replica has for its verdict. The others may read a `requested` event
`APPEND_DEADLINE` before its replica begins to forward. The rest is for writing the verdict to Kafka and reading it."""


class FleetRecovery(Recovery):
    """Recovers the operations of one account in a fleet, while this replica relays the account.

    An operation is silent if this process has known it with the status `requested` and the same `attempt` for
    `forward_deadline` plus `MARGIN`. No replica forwards a silent operation any more. This process measures the time
    itself, because the clocks of replicas may differ. It also measures the time for the accounts of other replicas, so
    that it can continue at once after a takeover.
    """

    async def run(self) -> None:
        """Look at the operations every `INTERVAL` seconds until cancelled, and forward what dead replicas left."""
        while True:
            if any(self._left_behind()):
                await self._recover()
            await sleep(INTERVAL)

    def in_progress(self, view: OperationView) -> bool:
        """Return whether a replica may be forwarding the operation, or this one still has to. It must not time out."""
        if view.status != "requested" or not view.trusted or self._too_old(view) or self._tried_here(view):
            return False
        return not self._silent(view) or (view.promised and repeatable(view.operation))

    async def _recover(self) -> None:
        try:
            await self._ledger.catch_up()  # a living replica may have written a verdict that is not read yet
        except KafkaUnavailable:
            return
        await self._forward_all(list(self._left_behind()))

    def _left_behind(self) -> list[OperationView]:
        """Return the promised operations that this replica may forward now."""
        if not self._correlator.decides(after=math.inf):
            return []
        return [view for view in self._view.pending(self._account) if self._recoverable(view)]

    def _recoverable(self, view: OperationView) -> bool:
        """Return whether nobody forwards a promised operation any more, and this process has not tried to.

        What must not be repeated is left to the time-out.
        """
        return (
            self._promised(view)
            and repeatable(view.operation)
            and not self._tried_here(view)
            and self._silent(view)
            and view.reference_id not in self._view.settling
        )

    async def _forward(self, reference: str) -> None:
        view = self._view.get(reference)
        if view is not None and self._recoverable(view) and self._correlator.decides(after=math.inf):
            with suppress(KafkaUnavailable):
                # A replica that waits for Kafka may lose the account meanwhile. The next look tries again.
                await self._keep_promise(reference, patient=False)

    def _silent(self, view: OperationView) -> bool:
        return self._view.known_for(view.reference_id) >= self._limits.forward_deadline + MARGIN

    def _tried_here(self, view: OperationView) -> bool:
        """Return whether this process itself forwarded the operation's newest attempt."""
        forwarded = self._view.forwarded.get(view.reference_id)
        return forwarded is not None and forwarded.attempt >= view.attempt
