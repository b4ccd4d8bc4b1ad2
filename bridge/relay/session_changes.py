"""The session events of one account that wait for the next transaction."""

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
    """Collects session events in `records`. The relay publishes them before the events of the next batch."""

    def __init__(self, account: str, encoding: Encoding = JSON) -> None:
        self._account = account
        self._record = partial(session_record, account=account, encoding=encoding)
        self.records: list[Record] = []
        self._hashed: tuple[str | None, str] = (None, "")
        """The last clientId of `hash`, and its result."""

    def hash(self, client_id: str) -> str:
        """Return the session's public name, which does not reveal the clientId."""
        if self._hashed[0] != client_id:
            self._hashed = client_id, session_hash(self._account, client_id)
        return self._hashed[1]

    def opened(self, opening: Opening, before: Position) -> None:
        """Add the events for a session that was opened or resumed. `before` is the position before that.

        If a new session replaces a session that the bridge did not end, the server has dropped the old session and its
        queue. Then `lost` and `gap` come before `opened`.
        """
        now, session = time.time(), self.hash(opening.client_id)
        reason, acks = opening.reason, opening.ack_extension
        if opening.resumed:
            self.records.append(self._record("resumed", session=session, at=now, reason=reason, ack_extension=acks))
            return
        previous, since = self.hash(before.client_id) if before.client_id else None, before.last_reply_at
        if since != 0.0:  # None: an earlier session was lost at an unknown time
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
        """Add the event for a session that the bridge ended."""
        session = self.hash(client_id)
        self.records.append(self._record("closed", session=session, at=time.time(), reason=reason))
