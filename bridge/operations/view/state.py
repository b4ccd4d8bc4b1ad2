"""Computes the state of an operation from its events, with pure functions.

The same event may arrive several times and in any order: directly from this process, from Kafka, from other replicas,
and again after a crash. `merge` gives the same final state in all cases.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final

import msgspec

from bridge.events import Operation, Status, Upstream, acknowledgement
from bridge.operations.recorded_request import LARGEST_KEPT, digest, shortened

PENDING: Final[frozenset[Status]] = frozenset({"requested", "accepted"})
_RANK: Final[dict[Status, int]] = {"requested": 0, "accepted": 1, "timed-out": 2, "rejected": 3, "acknowledged": 4}
_TIME_OF: Final[dict[Status, str]] = {status: status.replace("-", "_") for status in _RANK}
"""The field of `Times` for each status."""
_OF_THE_LOGIN: Final = frozenset({8, 20})
"""statusCodes that refuse the bridge's login. With such a statusCode Web Services has not judged the operation."""


class Times(msgspec.Struct, frozen=True, gc=False):
    """The time at which the operation reached each status, in RFC 3339.

    None if it did not reach the status, or if the time is unknown.
    """

    requested: str | None = None
    accepted: str | None = None
    rejected: str | None = None
    acknowledged: str | None = None
    timed_out: str | None = None


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """The acknowledgement event of an operation, and its place in Kafka."""

    id: str
    """The event's `ce_id`."""
    key: str | None
    """The record's key."""
    topic: str = acknowledgement.TOPIC
    """The topic, without the prefix. `OperationsService` returns the full name."""
    partition: int | None = None
    """The partition, None while the number of the topic's partitions is unknown."""
    late: bool = False
    """Whether the acknowledgement arrived after the operation had timed out."""


class OperationView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The present state of one operation."""

    reference_id: str
    operation: str
    """The `operationName`."""
    status: Status
    account: str
    trusted: bool = True
    """Whether the state comes from trusted events (`Origin.trusted`). The bridge only displays untrusted operations."""
    received_at: str
    """When the bridge received the REST call, in RFC 3339."""
    requested_by: str | None
    record_handle: int | None
    request_json: bytes
    """The caller's body as JSON: complete while a bridge may still have to forward it, later `shortened`."""
    request_digest: bytes = b""
    """`digest` of the complete body."""
    sealed_request: str | None = None
    """The encrypted request, if this process can't decrypt it. `request_json` then lacks the phone numbers, and the
    operation must not be forwarded."""
    asynchronous: bool = False
    attempt: int = 1
    """How many times the request was, or may have been, sent to Web Services."""
    times: Times = Times()
    upstream: Upstream | None = None
    """Web Services' verdict, None while there is none."""
    acknowledgement: Evidence | None = None
    user_event_id: str | None = None
    """`ce_id` of a user event about the same outbound record, if one arrived while the operation was pending."""
    latency_ms: int | None = None
    """Milliseconds from the forwarding to the acknowledgement."""

    @property
    def request(self) -> dict[str, Any]:
        """`request_json`, decoded."""
        body: dict[str, Any] = msgspec.json.decode(self.request_json)
        return body

    @property
    def pending(self) -> bool:
        """Whether the operation has not ended yet."""
        return self.status in PENDING

    @property
    def promised(self) -> bool:
        """Whether a bridge must still forward the operation, because it accepted the request with 202."""
        return self.asynchronous and self.status == "requested"

    @property
    def began(self) -> float:
        """When the operation was accepted, or else requested, in epoch seconds. The time-out begins then."""
        return seconds(self.times.accepted or self.times.requested or self.received_at)

    @property
    def undelivered(self) -> bool:
        """Whether the operation ended without a judgement of Web Services, so that a repeated request is forwarded."""
        if self.status != "rejected":
            return False
        return self.upstream is None or self.upstream.status_code is None or self.upstream.status_code in _OF_THE_LOGIN


_ALIKE: Final = {*OperationView.__struct_fields__} & {*Operation.__struct_fields__} - {"status"}
"""The fields that events and views have in common, except the status."""


def merge(view: OperationView | None, event: Operation, *, trusted: bool = True) -> OperationView:
    """Return the state after `event`. Return the same object if the event changes nothing.

    The status `acknowledged` always wins. Otherwise the higher attempt wins. Within one attempt the status with the
    higher rank (`_RANK`) wins. An untrusted event never changes a trusted operation. A trusted event replaces an
    untrusted operation.
    """
    if view is None or (trusted and not view.trusted):
        return _in_short(_first(event, trusted=trusted))
    if not trusted and (view.trusted or event.account != view.account):
        return view
    newer = event.attempt > view.attempt
    leads = view.status != "acknowledged" and (
        event.status == "acknowledged" or (event.attempt, _RANK[event.status]) > (view.attempt, _RANK[view.status])
    )
    changes: dict[str, Any] = {
        "times": _earliest(view.times, event),
        "upstream": _verdict(view, event, leads=leads),
    }
    if leads:
        changes["status"] = event.status
    if newer:
        changes["attempt"] = event.attempt
        if leads:
            changes |= {"requested_by": event.requested_by, "asynchronous": event.asynchronous}
        if digest(bytes(event.request)) == view.request_digest:
            changes["request_json"] = bytes(event.request)
    if event.acknowledgement_id is not None and view.acknowledgement is None:
        changes |= {"acknowledgement": _evidence(event), "latency_ms": event.latency_ms}
    if event.user_event_id is not None and view.user_event_id is None:
        changes["user_event_id"] = event.user_event_id
    merged = _in_short(msgspec.structs.replace(view, **changes))
    return view if merged == view else merged


def event_of(view: OperationView, status: Status, at: str, **changes: Any) -> Operation:
    """Return the event that changes the operation to `status`. `changes` sets further fields of `Operation`.

    If the request is large, only a `requested` event has the complete request.
    """
    evidence = view.acknowledgement
    request = view.request_json if status == "requested" else shortened(view.request_json)
    fields: dict[str, Any] = {
        "request": msgspec.Raw(request),
        "acknowledgement_id": None if evidence is None else evidence.id,
        "acknowledgement_key": None if evidence is None else evidence.key,
        "acknowledgement_topic": None if evidence is None else told_topic(evidence.topic),
        "late": evidence is not None and evidence.late,
    }
    alike = {name: getattr(view, name) for name in _ALIKE}
    return Operation(status=status, at=at, **(alike | fields | changes))


def seconds(time: str) -> float:
    """Convert an RFC 3339 time to epoch seconds.

    Raises:
        ValueError: `time` is malformed.
    """
    return datetime.fromisoformat(time).timestamp()


def _first(event: Operation, *, trusted: bool) -> OperationView:
    request = bytes(event.request)
    return OperationView(
        reference_id=event.reference_id,
        operation=sys.intern(event.operation),  # many operations have the same text, so the view stores the text once
        status=event.status,
        account=sys.intern(event.account),
        trusted=trusted,
        received_at=event.received_at,
        requested_by=event.requested_by,
        record_handle=event.record_handle,
        request_json=request,
        request_digest=digest(request),
        sealed_request=event.sealed_request,
        asynchronous=event.asynchronous,
        attempt=event.attempt,
        times=Times(**{_TIME_OF[event.status]: event.at}),
        upstream=event.upstream,
        acknowledgement=None if event.acknowledgement_id is None else _evidence(event),
        user_event_id=event.user_event_id,
        latency_ms=event.latency_ms,
    )


def _earliest(times: Times, event: Operation) -> Times:
    name = _TIME_OF[event.status]
    known = getattr(times, name)
    return times if known is not None and known <= event.at else msgspec.structs.replace(times, **{name: event.at})


def _verdict(view: OperationView, event: Operation, *, leads: bool) -> Upstream | None:
    """Return Web Services' verdict after `event`. `leads`: whether `event`, and not `view`, sets the status.

    The verdict of the side that sets the status comes first. If that side has none, the verdict of the other side
    counts, but only if both sides have the same attempt.
    """
    leading, other = (event.upstream, view.upstream) if leads else (view.upstream, event.upstream)
    return other if leading is None and event.attempt == view.attempt else leading


def _evidence(event: Operation) -> Evidence:
    assert event.acknowledgement_id is not None
    topic = event.acknowledgement_topic or acknowledgement.TOPIC
    return Evidence(id=event.acknowledgement_id, key=event.acknowledgement_key, topic=topic, late=event.late)


def told_topic(topic: str) -> str | None:
    """Return the value for an event's `acknowledgement_topic`: None for the topic `acknowledgements.v1`."""
    return None if topic == acknowledgement.TOPIC else topic


def _in_short(view: OperationView) -> OperationView:
    """Shorten a large request once the operation no longer has to be forwarded."""
    if view.promised:
        return view
    sealed = None if view.sealed_request is None or len(view.sealed_request) > LARGEST_KEPT else view.sealed_request
    request = shortened(view.request_json)
    if sealed == view.sealed_request and request is view.request_json:
        return view
    return msgspec.structs.replace(view, request_json=request, sealed_request=sealed)
