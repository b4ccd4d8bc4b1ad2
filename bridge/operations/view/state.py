"""Where an operation stands, as its events tell: pure rules.

Events come from this process at once and from Kafka a moment later, from other replicas, and after a crash once more:
so `merge` takes each as often and in any order as it comes, and always ends in the same state.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from bridge.events import Operation, Status, Upstream, acknowledgement
from bridge.operations.requests import LARGEST_KEPT, digest, shortened

PENDING: Final[frozenset[Status]] = frozenset({"requested", "accepted"})
_RANK: Final[dict[Status, int]] = {"requested": 0, "accepted": 1, "timed-out": 2, "rejected": 3, "acknowledged": 4}
_OF_THE_LOGIN: Final = frozenset({8, 20})
"""statusCodes that refuse the bridge's own login: they say nothing of the operation."""


class Times(msgspec.Struct, frozen=True, gc=False):
    """When the operation came to each status, RFC 3339; None where it never did, or it is not known."""

    requested: str | None = None
    accepted: str | None = None
    rejected: str | None = None
    acknowledged: str | None = None
    timed_out: str | None = None


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """The acknowledgement, and where it lies in Kafka."""

    id: str
    """`ce_id` of the acknowledgement event."""
    key: str | None
    """Its key."""
    topic: str = acknowledgement.TOPIC
    """Its topic, whole once it comes from the view."""
    partition: int | None = None
    """Its partition; None while the number of the topic's partitions is not known."""
    late: bool = False
    """Whether it came after the operation had been given up as timed out."""


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as it stands now."""

    reference_id: str
    operation: str
    """The `operationName`."""
    status: Status
    account: str
    trusted: bool = True
    """Whether the account's bridge has written what is known; else it is for show, and causes nothing."""
    received_at: str
    """When the bridge received the REST call, RFC 3339."""
    requested_by: str | None
    record_handle: int | None
    request_json: bytes
    """The body that the caller sent, as JSON: whole while a process may still have to forward it, else `shortened`."""
    request_digest: bytes = b""
    """`digest` of the whole body."""
    sealed_request: str | None = None
    """Where this process can't open it, and `request_json` lacks the phone numbers: then it must not be forwarded."""
    asynchronous: bool = False
    attempt: int = 1
    """How many times it has been, or may have been, sent to Web Services."""
    times: Times = Times()
    upstream: Upstream | None = None
    """Web Services' verdict; None while there is none."""
    acknowledgement: Evidence | None = None
    user_event_id: str | None = None
    """`ce_id` of the record's user event, where one came before any acknowledgement."""
    latency_ms: int | None = None
    """Milliseconds from the forwarding to the acknowledgement."""

    @property
    def request(self) -> dict[str, Any]:
        """The body that the caller sent, as far as `request_json` has it."""
        body: dict[str, Any] = msgspec.json.decode(self.request_json)
        return body

    @property
    def pending(self) -> bool:
        """Whether the operation has not ended yet."""
        return self.status in PENDING

    @property
    def promised(self) -> bool:
        """Whether a process must forward it though no caller waits, as far as its events tell."""
        return self.asynchronous and self.status == "requested"

    @property
    def began(self) -> float:
        """When it was last on its way to Web Services, as far as the ledger tells it; epoch seconds."""
        return seconds(self.times.accepted or self.times.requested or self.received_at)

    @property
    def undelivered(self) -> bool:
        """Whether it ended without Web Services ever judging it: then, and only then, it may be requested anew."""
        if self.status != "rejected":
            return False
        return self.upstream is None or self.upstream.status_code is None or self.upstream.status_code in _OF_THE_LOGIN


_ALIKE: Final = {*OperationView.__struct_fields__} & {*Operation.__struct_fields__} - {"status"}


def merge(view: OperationView | None, event: Operation, *, trusted: bool = True) -> OperationView:
    """Return the state after `event`; the same view where the event tells nothing new.

    An acknowledgement is final, whenever it comes. Else the newer attempt counts, and within one attempt the status
    that is farther along. Where the event is not `trusted` it changes no operation that is, and a trusted one replaces
    what was known from others.
    """
    if view is None or (trusted and not view.trusted):
        return _in_short(_first(event, trusted=trusted))
    if not trusted and (view.trusted or event.account != view.account):
        return view
    leads = view.status != "acknowledged" and (
        event.status == "acknowledged" or (event.attempt, _RANK[event.status]) > (view.attempt, _RANK[view.status])
    )
    changes: dict[str, Any] = {"times": _earliest(view.times, event)}
    if leads:
        changes["status"] = event.status
        changes["upstream"] = event.upstream
        if event.attempt > view.attempt:
            changes |= {"requested_by": event.requested_by, "asynchronous": event.asynchronous}
    if event.attempt > view.attempt:
        changes["attempt"] = event.attempt
        if digest(bytes(event.request)) == view.request_digest:
            changes["request_json"] = bytes(event.request)
    elif changes.get("upstream", view.upstream) is None and event.attempt == view.attempt:
        changes["upstream"] = view.upstream or event.upstream
    if event.acknowledgement_id is not None and view.acknowledgement is None:
        changes |= {"acknowledgement": _evidence(event), "latency_ms": event.latency_ms}
    if event.user_event_id is not None and view.user_event_id is None:
        changes["user_event_id"] = event.user_event_id
    merged = _in_short(msgspec.structs.replace(view, **changes))
    return view if merged == view else merged


def event_of(view: OperationView, status: Status, at: str, **changes: Any) -> Operation:
    """Return the event that brings the operation to `status`; `changes` are fields of `Operation`.

    Only a `requested` event has a large request whole.
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
    return Operation(status=status, at=at, **(_alike(view) | fields | changes))


def seconds(time: str) -> float:
    """Return an RFC 3339 time in epoch seconds.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(time).timestamp()


def _first(event: Operation, *, trusted: bool) -> OperationView:
    request = bytes(event.request)
    return OperationView(
        trusted=trusted,
        status=event.status,
        request_json=request,
        request_digest=digest(request),
        times=_earliest(Times(), event),
        acknowledgement=None if event.acknowledgement_id is None else _evidence(event),
        **_alike(event),
    )


def _alike(one: Operation | OperationView) -> dict[str, Any]:
    """Return what events and views have alike, but for the status."""
    return {name: getattr(one, name) for name in _ALIKE}


def _earliest(times: Times, event: Operation) -> Times:
    name = event.status.replace("-", "_")
    known = getattr(times, name)
    return times if known is not None and known <= event.at else msgspec.structs.replace(times, **{name: event.at})


def _evidence(event: Operation) -> Evidence:
    assert event.acknowledgement_id is not None
    topic = event.acknowledgement_topic or acknowledgement.TOPIC
    return Evidence(id=event.acknowledgement_id, key=event.acknowledgement_key, topic=topic, late=event.late)


def told_topic(topic: str) -> str | None:
    """Return an evidence's topic (without the prefix) as events tell it: None where it is the acknowledgements' own."""
    return None if topic == acknowledgement.TOPIC else topic


def _in_short(view: OperationView) -> OperationView:
    """Leave out what nothing needs any more, where there is much of it."""
    if view.promised:
        return view
    sealed = None if view.sealed_request is None or len(view.sealed_request) > LARGEST_KEPT else view.sealed_request
    request = shortened(view.request_json)
    if sealed == view.sealed_request and request is view.request_json:
        return view
    return msgspec.structs.replace(view, request_json=request, sealed_request=sealed)
