"""The session event: one event for each change of an account's CometD session, including losses and gaps."""

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
    """A change of an account's CometD session.

    A `gap` has the period in which events may have been lost. It comes before the first event of the new session.
    """

    change: Annotated[
        Change,
        Meta(
            description="opened: a new session; resumed: a new process of the bridge continues the session; lost: the "
            "server has dropped the session and the events in its queue; gap: events may be missing between `from` and "
            "`to`; closed: the bridge ended the session."
        ),
    ]
    account: Account
    session: Annotated[
        str,
        Meta(
            description="Name of the session: first 16 hex digits of SHA-256(account NUL clientId). For a gap, the new "
            "session."
        ),
    ]
    previous_session: Annotated[str | None, Meta(description="Name of the account's previous session.")]
    from_: Annotated[
        Time | None,
        Meta(
            description="For a gap: when the bridge received the last reply whose events are all in Kafka, RFC 3339, "
            "UTC; null if that is not known."
        ),
    ] = msgspec.field(name="from")
    to: Annotated[Time | None, Meta(description="For a gap: when the new session was opened, RFC 3339, UTC.")]
    reason: Annotated[
        str | None, Meta(description="Reason of the change: a stable word, for example `unknown-client`.")
    ]
    ack_extension: Annotated[
        bool | None,
        Meta(
            description="Whether the session uses CometD's acknowledgement extension, which exactly-once delivery "
            "needs; null if that is not known."
        ),
    ]
    received_at: Annotated[Time, Meta(description="When the bridge noticed the change, RFC 3339, UTC, milliseconds.")]


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
    """Make the record of a session event. Times are in seconds since the epoch, and sessions are hashes.

    A retry must have the same `ce_id`, so the `ce_id` consists of the session and the change. Only `resumed` can happen
    several times per session, so the `ce_id` of `resumed` contains the time too.
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
