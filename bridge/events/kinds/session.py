"""The life of an account's CometD session: a loss, and the time that nothing was heard, is never silent."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bridge.events.cloudevent import HeaderTemplate
from bridge.events.encoding import JSON, Encoding
from bridge.events.fields import Account, Time
from bridge.events.record import Record
from bridge.events.times import rfc3339

TOPIC = "sessions.v1"
TYPE = "gws.session.v1"
SCHEMA = "urn:cometd-kafka-bridge:schema:session:v1"

Change: TypeAlias = Literal["opened", "resumed", "lost", "gap", "closed"]


class Session(msgspec.Struct, rename="camel", kw_only=True, frozen=True, gc=False):
    """The life of an account's CometD session.

    A gap says from when to when events may have been lost, before the first event of the new session.
    """

    change: Annotated[
        Change,
        Meta(
            description="opened: a new session; resumed: a new process goes on with it; lost: the server has dropped "
            "it, with whatever it had queued; gap: nothing is known of the time between; closed: the bridge ended it."
        ),
    ]
    account: Account
    session: Annotated[
        str,
        Meta(
            description="The session: first 16 hex digits of SHA-256(account NUL clientId). For a gap the new session."
        ),
    ]
    previous_session: Annotated[str | None, Meta(description="The account's session before this one, hashed alike.")]
    from_: Annotated[
        Time | None,
        Meta(
            description="For a gap: when the last reply was received whose events are all in Kafka, RFC 3339, UTC; "
            "null where nothing trustworthy tells it."
        ),
    ] = msgspec.field(name="from")
    to: Annotated[Time | None, Meta(description="For a gap: when the new session was open, RFC 3339, UTC.")]
    reason: Annotated[str | None, Meta(description="Why, as a short stable word, for example `unknown-client`.")]
    ack_extension: Annotated[
        bool | None,
        Meta(
            description="Whether the server acknowledges, which exactly-once delivery needs; null where it is not "
            "known."
        ),
    ]
    received_at: Annotated[Time, Meta(description="When the bridge learnt of the change, RFC 3339, UTC, milliseconds.")]


def session_record(
    change: Change,
    *,
    account: str,
    session: str,
    at: float,
    previous_session: str | None = None,
    from_: float | None = None,
    to: float | None = None,
    reason: str | None = None,
    ack_extension: bool | None = None,
    traceparent: str | None = None,
    encoding: Encoding = JSON,
) -> Record:
    """Make the record of a session event. Times are epoch seconds, sessions are their hashes.

    The id tells the change: a session is opened, lost and closed once, and a gap ends with one session, so each tells
    the same id at each try. It can be resumed many times: there the time is part of the id.
    """
    received_at = rfc3339(at)
    value = Session(
        change=change,
        account=account,
        session=session,
        previous_session=previous_session,
        from_=None if from_ is None else rfc3339(from_),
        to=None if to is None else rfc3339(to),
        reason=reason,
        ack_extension=ack_extension,
        received_at=received_at,
    )
    id_ = f"{session}-{change}-{received_at}" if change == "resumed" else f"{session}-{change}"
    key = account.encode()
    form = encoding.form(SCHEMA)
    template = HeaderTemplate(TYPE, form.schema, account, received_at, form.content_type)
    return Record(TOPIC, key, form.encode(value), template.headers(id_.encode(), key, traceparent=traceparent))
