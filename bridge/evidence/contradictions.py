"""Finds records that contradict each other, and reports expected records that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.events import acknowledgement, user_event
from bridge.evidence.bundle import Contradiction, Gap, Missing
from bridge.evidence.criteria import keys_of
from bridge.evidence.histories import TRUSTED, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.evidence.bundle import OperationHistory
    from bridge.evidence.content import Found
    from bridge.evidence.histories import ReconstructedOperation

DO_NOT_CALL: Final = "DoNotCallRecord"
USES: Final = frozenset(
    {
        "AddRecordAcknowledge",
        "ChainedRecord",
        "PreviewRecord",
        "RecordRescheduleAcknowledge",
        "ScheduledCall",
        "ScheduledRecordReschedule",
        "ScheduledRecordRescheduleAcknowledge",
        "StatusChanged",
    }
)
"""Notifications and user events that show that the dialler or an agent still uses the record."""


def contradictions_in(
    operations: Sequence[ReconstructedOperation], others: Sequence[Found]
) -> tuple[Contradiction, ...]:
    """Return the contradictions between the records of each operation.

    `others` are acknowledgements and user events.
    """
    later = sorted(others, key=lambda found: found.content.received_at)
    return tuple(
        found for one in operations for found in (*_in_events(one), *_in_answers(one), *_afterwards(one, later))
    )


def _in_events(one: ReconstructedOperation) -> Iterator[Contradiction]:
    reference = one.history.reference_id
    unsigned = [event.found for event in one.events if event.signature not in TRUSTED]
    if unsigned:
        yield Contradiction(
            what="event-not-signed",
            text=f"Events of {reference} without the signature of the account's bridge: {len(unsigned)}. Another "
            "program, or version 0.1.0 of the bridge, wrote them.",
            records=tuple(map(place_of, unsigned)),
        )
    trusted = [event.found for event in one.events if event.signature in TRUSTED]
    subjects = {(found.content.operation, found.content.account, found.content.record_handle) for found in trusted}
    if len(subjects) > 1:
        yield Contradiction(
            what="reference-used-twice",
            text=f"The reference {reference} was used for {len(subjects)} different requests.",
            records=tuple(map(place_of, trusted)),
        )
    ends = {"rejected", "acknowledged"}
    ended = [found for found in trusted if found.content.status in ends]
    by_attempt = {(found.content.attempt, found.content.status) for found in ended}
    if any({(attempt, status) for status in ends} <= by_attempt for attempt, _ in by_attempt):
        yield Contradiction(
            what="rejected-and-acknowledged",
            text=f"{reference} was rejected and acknowledged in the same attempt.",
            records=tuple(map(place_of, ended)),
        )


def _in_answers(one: ReconstructedOperation) -> Iterator[Contradiction]:
    reference, answers = one.history.reference_id, one.acknowledgements
    if len({found.ce_id for found in answers}) > 1:
        yield Contradiction(
            what="acknowledged-again",
            text=f"Web Services acknowledged {reference} {len(answers)} times.",
            records=tuple(map(place_of, answers)),
        )
    if answers and one.history.status != "acknowledged":
        yield Contradiction(
            what="acknowledgement-not-noted",
            text=f"An acknowledgement of {reference} is in Kafka, but the operation's last status is "
            f"{one.history.status}.",
            records=tuple(map(place_of, answers)),
        )


def _afterwards(one: ReconstructedOperation, later: Sequence[Found]) -> Iterator[Contradiction]:
    """Yield each event that shows the record in use after its do-not-call request was acknowledged."""
    if one.history.operation != DO_NOT_CALL or one.history.acknowledgement is None:
        return
    keys = {key for event in one.events for key in keys_of(event.found)}
    for found in later:
        what = found.content.notification_type if found.topic == acknowledgement.TOPIC else found.content.user_event
        if (
            found.topic in {acknowledgement.TOPIC, user_event.TOPIC}
            and found.key in keys
            and found.content.received_at > one.history.acknowledgement.received_at
            and what in USES
        ):
            yield Contradiction(
                what="used-after-acknowledgement",
                text=f"{what} came for the same record at {found.content.received_at}, after the acknowledgement of "
                f"{one.history.reference_id} at {one.history.acknowledgement.received_at}.",
                records=(place_of(found),),
            )


def gaps_in(operations: Sequence[ReconstructedOperation], sessions: Sequence[Found], now: str) -> tuple[Gap, ...]:
    """Return each gap of an account, with the operations that waited for their acknowledgement during the gap.

    A gap in which no operation waited is left out.
    """
    gaps = []
    for found in sessions:
        content = found.content
        end = content.to or content.received_at
        waiting = tuple(
            one.history.reference_id
            for one in operations
            if one.history.account == content.account
            and one.history.received_at <= end
            and _waited_until(one.history, now) >= (content.from_ or "")
        )
        if waiting:
            gaps.append(
                Gap(
                    account=content.account or "",
                    since=content.from_,
                    until=content.to,
                    reason=content.reason,
                    operations=waiting,
                    record=place_of(found),
                )
            )
    return tuple(sorted(gaps, key=lambda gap: gap.until or ""))


def _waited_until(history: OperationHistory, now: str) -> str:
    """Return the time until which the acknowledgement could arrive.

    It may also arrive after the operation has timed out.
    """
    if history.acknowledgement is not None:
        return history.acknowledgement.received_at
    if history.status == "rejected":
        return max(event.at for event in history.events)
    return now


def missing_in(operations: Sequence[ReconstructedOperation]) -> Iterator[Missing]:
    """Yield the records that are missing in the history of each operation."""
    for one in operations:
        history = one.history
        statuses = {event.status for event in history.events}
        if "requested" not in statuses:
            yield Missing(
                what="requested-event",
                text=f"The event `requested` of {history.reference_id} is not there. Kafka has deleted it, or keeps "
                "only the newest event of each operation (cleanup.policy=compact). The later events repeat the "
                "request.",
            )
        claimed = next((one.found.content for one in one.events if one.found.content.acknowledgement_id), None)
        ids = {found.ce_id for found in one.acknowledgements}
        if claimed is not None and claimed.acknowledgement_id not in ids:
            yield Missing(
                what="named-acknowledgement",
                text=f"{history.reference_id} names the acknowledgement {claimed.acknowledgement_id}, which was not "
                "found. Kafka may have deleted it.",
            )
        elif history.acknowledgement is None and history.status != "rejected":
            yield Missing(
                what="acknowledgement", text=f"No acknowledgement of {history.reference_id} was found on its topic."
            )
        noted = next((one.found.content.user_event_id for one in one.events if one.found.content.user_event_id), None)
        if noted is not None and noted not in {found.ce_id for found in one.user_events}:
            yield Missing(
                what="user-event", text=f"{history.reference_id} names the user event {noted}, which was not found."
            )
        elif not one.user_events and history.acknowledgement is not None:
            yield Missing(
                what="user-event",
                text=f"No user event about the record of {history.reference_id} was found. Not every site sends them.",
            )
