"""The session events of one account, as they wait for the transaction that they go out with."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from bridge.events import JSON, session_hash, session_record
from bridge.observability import metrics

if TYPE_CHECKING:
    from bridge.cometd import Opening
    from bridge.delivery import Position
    from bridge.events import Encoding, Record


class SessionChanges:
    """Collects them in `records`, in the order in which consumers must see them: before the events that follow."""

    def __init__(self, account: str, encoding: Encoding = JSON) -> None:
        self._account = account
        self._record = partial(session_record, account=account, encoding=encoding)
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
        reason, acks = opening.reason, opening.ack_extension
        if opening.resumed:
            self.records.append(self._record("resumed", session=session, at=now, reason=reason, ack_extension=acks))
            return
        previous, since = self.hash(before.client_id) if before.client_id else None, before.last_reply_at
        if since != 0.0:  # None: an earlier session is lost, and nothing tells since when
            if previous:
                self.records.append(self._record("lost", session=previous, at=now, from_=since, reason=reason))
            self.records.append(
                self._record(
                    "gap",
                    session=session,
                    at=now,
                    previous_session=previous,
                    from_=since,
                    to=now,
                    reason=reason,
                )
            )
            metrics.cometd_gaps.labels(self._account).inc()
        self.records.append(
            self._record(
                "opened",
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
        self.records.append(self._record("closed", session=session, at=time.time(), reason=reason))
