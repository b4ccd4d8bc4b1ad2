"""The session events of one account, as they wait for the transaction that they go out with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bridge.events import session_hash, session_record
from bridge.observability import metrics

if TYPE_CHECKING:
    from bridge.cometd import Opening
    from bridge.delivery import Position
    from bridge.events import Record


class SessionChanges:
    """Collects them in `records`, in the order in which consumers must see them: before the events that follow."""

    def __init__(self, account: str) -> None:
        self._account = account
        self.records: list[Record] = []

    def hash(self, client_id: str) -> str:
        """Name a session without giving its clientId away."""
        return session_hash(self._account, client_id)

    def opened(self, opening: Opening, before: Position) -> None:
        """Tell of a session that was opened or resumed where the position was `before`.

        A new session after one that was not ended on purpose means that the old one is lost, with what the server had
        queued in it: `lost` and `gap` come before `opened`.
        """
        now, session = time.time(), self.hash(opening.client_id)
        account, reason, acks = self._account, opening.reason, opening.ack_extension
        if opening.resumed:
            self.records.append(
                session_record("resumed", account=account, session=session, at=now, reason=reason, ack_extension=acks)
            )
            return
        previous, since = self.hash(before.client_id) if before.client_id else None, before.last_reply_at
        if since:
            if previous:
                self.records.append(
                    session_record("lost", account=account, session=previous, at=now, from_=since, reason=reason)
                )
            self.records.append(
                session_record(
                    "gap",
                    account=account,
                    session=session,
                    at=now,
                    previous_session=previous,
                    from_=since,
                    to=now,
                    reason=reason,
                )
            )
            metrics.cometd_gaps.labels(account).inc()
        self.records.append(
            session_record(
                "opened",
                account=account,
                session=session,
                at=now,
                previous_session=previous,
                reason=reason,
                ack_extension=acks,
            )
        )

    def closed(self, client_id: str, reason: str) -> None:
        """Tell of a session that was ended on purpose."""
        session = self.hash(client_id)
        self.records.append(
            session_record("closed", account=self._account, session=session, at=time.time(), reason=reason)
        )
