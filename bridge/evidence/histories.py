"""Puts together the history of each operation from its events, its acknowledgement and its user events."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.errors import UNDECODABLE
from bridge.events import DEAD_LETTERS, INT64_MAX, acknowledgement, record_key, rfc3339, user_event
from bridge.evidence.bundle import Answer, Notification, OperationEvent, OperationHistory, Place
from bridge.evidence.criteria import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bridge.evidence.bundle import Signature, Verdict
    from bridge.evidence.content import Found

_RANK: Final = {"requested": 0, "accepted": 1, "timed-out": 2, "rejected": 3, "acknowledged": 4}
"""The order of the statuses in one attempt (docs/operations.md)."""
TRUSTED: Final[frozenset[Signature]] = frozenset({"valid", "unknown"})
"""Events with these signatures count. If an operation has no such event, its other events count."""


@dataclass(frozen=True, slots=True)
class CheckedEvent:
    """An operation event, and the result of checking its signature."""

    found: Found
    signature: Signature


@dataclass(frozen=True, slots=True)
class ReconstructedOperation:
    """The history of an operation, with the records from which the history was made."""

    history: OperationHistory
    events: Sequence[CheckedEvent]
    acknowledgements: Sequence[Found]
    user_events: Sequence[Found]


def histories_of(
    events: Iterable[CheckedEvent],
    others: Sequence[Found],
    *,
    deadline_days: int,
    now: float,
    references: set[str] | None,
) -> list[ReconstructedOperation]:
    """Return the history of each operation, the earliest request first.

    `others` has the acknowledgements, user events and dead letters. `now` is in seconds since the epoch. `references`
    names the wanted operations. None means all operations in `events`.
    """
    by_reference: dict[str, list[CheckedEvent]] = defaultdict(list)
    for event in events:
        reference = event.found.content.reference_id
        if reference is not None and (references is None or reference in references):
            by_reference[reference].append(event)
    by_key: dict[str, list[Found]] = defaultdict(list)
    acknowledgements: dict[str, list[Found]] = defaultdict(list)
    by_id: dict[str, Found] = {}
    for one in sorted(others, key=lambda found: found.content.received_at):
        if one.topic == user_event.TOPIC:
            by_key[one.key].append(one)
        elif one.topic == acknowledgement.TOPIC and one.content.reference_id is not None:
            acknowledgements[one.content.reference_id].append(one)
        if one.topic in {acknowledgement.TOPIC, DEAD_LETTERS} and one.ce_id is not None:
            by_id.setdefault(one.ce_id, one)
    operations = [
        _reconstructed(
            reference, own, acknowledgements.get(reference, []), by_id, by_key, deadline_days=deadline_days, now=now
        )
        for reference, own in by_reference.items()
    ]
    return sorted(operations, key=lambda one: (one.history.received_at, one.history.reference_id))


def _reconstructed(
    reference: str,
    events: list[CheckedEvent],
    candidates: Sequence[Found],
    by_id: Mapping[str, Found],
    by_key: Mapping[str, Sequence[Found]],
    *,
    deadline_days: int,
    now: float,
) -> ReconstructedOperation:
    events = sorted(events, key=lambda one: (one.found.content.at or "", one.found.record.offset))
    trusted = [one for one in events if one.signature in TRUSTED] or events
    last = max(trusted, key=_precedence).found
    content = last.content
    keys = [key for one in trusted for key in sorted(keys_of(one.found))]
    answers = [one for one in candidates if _is_answer(one, last)]
    ids = [one.found.content.acknowledgement_id for one in trusted]
    named = [by_id[id_] for id_ in ids if id_ is not None and id_ in by_id]
    acknowledgements = list({id(one): one for one in (*answers, *named)}.values())
    acknowledgements.sort(key=lambda one: one.content.received_at)
    first = acknowledgements[0] if acknowledgements else None
    seen = {one.ce_id: one for key in dict.fromkeys(keys) for one in by_key.get(key, ())}
    user_events = [one for one in seen.values() if one.content.received_at >= content.received_at]
    whole = next((one.found for one in trusted if one.found.content.status == "requested"), last)
    received, deadline = _deadline(content.received_at, deadline_days)
    ended = _seconds(first.content.received_at) if first is not None else None
    if ended is None and content.status == "acknowledged":
        ended = _seconds(content.at)
    took = None if ended is None or received is None else max(0.0, round(ended - received, 3))
    history = OperationHistory(
        reference_id=reference,
        operation=content.operation or "",
        status=content.status or "",
        account=content.account or "",
        requested_by=content.requested_by,
        received_at=content.received_at,
        record_handle=content.record_handle,
        record_key=(
            record_key(
                last.named.application_id, last.named.campaign_name, content.record_handle, last.named.phone_number
            )
        ),
        request=_compact(whole.content.request),
        attempts=max(one.found.content.attempt for one in trusted),
        answer=_answer(content.upstream),
        events=tuple(
            OperationEvent(
                status=one.found.content.status or "",
                at=one.found.content.at or "",
                attempt=one.found.content.attempt,
                record=place_of(one.found),
                signature=one.signature,
            )
            for one in events
        ),
        acknowledgement=None if first is None else _notification(first, _what(first)),
        late=any(one.found.content.late for one in trusted),
        user_events=tuple(_notification(one, one.content.user_event) for one in user_events),
        deadline="" if deadline is None else rfc3339(deadline),
        seconds=took,
        days=None if took is None else math.ceil(took / 86_400 * 10_000) / 10_000,
        verdict=_verdict(content.status, ended, deadline, now),
    )
    return ReconstructedOperation(history, events, acknowledgements, user_events)


def place_of(found: Found) -> Place:
    """Return the place of a record in Kafka."""
    return Place(topic=found.record.topic, partition=found.record.partition, offset=found.record.offset)


def _is_answer(found: Found, last: Found) -> bool:
    """Return whether an acknowledgement with the operation's reference is about the operation."""
    return found.content.account == last.content.account and found.content.operation in {
        None,
        last.content.operation,
    }


def _precedence(event: CheckedEvent) -> tuple[bool, int, int, str]:
    content = event.found.content
    rank = _RANK.get(content.status or "", -1)
    return content.status == "acknowledged", content.attempt, rank, content.at or ""


def _notification(found: Found, what: str | None) -> Notification:
    return Notification(what=what, received_at=found.content.received_at, ce_id=found.ce_id, record=place_of(found))


def _what(found: Found) -> str | None:
    if found.topic == DEAD_LETTERS:
        return f"dead letter of an acknowledgement that Kafka refused ({found.content.reason})"
    return found.content.notification_type


def _answer(upstream: dict[str, Any] | None) -> Answer | None:
    if upstream is None:
        return None
    message = upstream.get("statusMessage")
    return Answer(
        http_status=_number(upstream.get("httpStatus")),
        status_code=_number(upstream.get("statusCode")),
        status_message=message if isinstance(message, str) else None,
    )


def _number(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INT64_MAX
    return value if fits else None


def _compact(request: msgspec.Raw) -> msgspec.Raw:
    """Return the request as JSON on one line, because each part of a bundle is one line of its file."""
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(request or b"null")))
    except UNDECODABLE:
        return msgspec.Raw(b"null")


def _seconds(time: str | None) -> float | None:
    try:
        return datetime.fromisoformat(time or "").timestamp()
    except (ValueError, OverflowError):
        return None


def _deadline(received_at: str, days: int) -> tuple[float | None, float | None]:
    received = _seconds(received_at)
    if received is None:
        return None, None
    try:
        return received, (datetime.fromtimestamp(received, UTC) + timedelta(days=days)).timestamp()
    except OverflowError:
        return received, None


def _verdict(status: str | None, ended: float | None, deadline: float | None, now: float) -> Verdict:
    due = math.inf if deadline is None else deadline
    if ended is not None:
        return "in-time" if ended <= due else "late"
    if status == "rejected":
        return "rejected"
    return "overdue" if now > due else "waiting"
