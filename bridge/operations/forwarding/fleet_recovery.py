"""Recovers operations in a fleet, where any replica may forward an operation, and any replica may die.

The replica that relays an account checks the account's operations at regular intervals. It must not forward an
operation that another living replica is forwarding. The ledger does not show which replicas live. But a living replica
either writes a verdict within `forward_deadline`, or stops trying.
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
"""Seconds between two checks of the operations of an account."""
MARGIN: Final = APPEND_DEADLINE + 5.0
"""Seconds in addition to `forward_deadline` until a living replica's verdict must be visible. Other replicas may read a
`requested` event up to `APPEND_DEADLINE` before the forwarding begins. The rest of the time is for writing the verdict
to Kafka and reading it."""


class FleetRecovery(Recovery):
    """Recovers the operations of one account in a fleet, while this replica relays the account.

    An operation is silent if this process has known it with the status `requested` and the same `attempt` for
    `forward_deadline` plus `MARGIN`. No replica forwards a silent operation any more. This process measures the time
    itself, because the clocks of replicas may differ. This process also measures the time for accounts of other
    replicas, so that it need not wait again after a takeover.
    """

    async def run(self) -> None:
        """Check the operations every `INTERVAL` seconds until cancelled, and forward those of dead replicas."""
        while True:
            if any(self._left_behind()):
                await self._recover()
            await sleep(INTERVAL)

    def in_progress(self, view: OperationView) -> bool:
        """Return whether a replica may be forwarding the operation, or this replica must forward it.

        If so, the operation must not time out.
        """
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
        """Return whether this replica should forward the operation.

        The operation is promised, silent and repeatable, and this process has not tried to forward it.
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
