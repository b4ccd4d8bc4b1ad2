"""What a bundle says about the operations of a subject."""

import pytest

from bridge.errors import NoSuchEvidence, UnusableInput
from bridge.events import DEAD_LETTERS, dead_letter
from bridge.privacy import Concealment
from tests.evidence_parts import (
    REFUSED,
    START,
    Topics,
    acknowledged,
    collector,
    gap,
    heard,
    operation,
)


async def whole_life(topics: Topics, reference: str = "r1", number: int = 0) -> None:
    await topics.write(
        operation(reference, "requested", START),
        operation(reference, "accepted", START + 0.1),
        acknowledged(reference, START + 2, number=number),
        heard(START + 2, number=number + 1),
        operation(reference, "acknowledged", START + 2, acknowledgement_id=f"session-{number}"),
    )


async def test_a_whole_life_is_told() -> None:
    """The bundle of a reference tells the request, the answer, the acknowledgement, and all of the records."""
    topics = Topics()
    await whole_life(topics)
    await topics.write(operation("other", "requested", START), acknowledged("other", START + 3, handle=8, number=5))
    bundle = await collector(topics).collect("reference", "r1")
    [history] = bundle.operations
    assert (history.status, history.verdict, history.seconds, history.days) == ("acknowledged", "in-time", 2.0, 0.0001)
    assert (history.requested_by, history.record_key, history.attempts) == ("crm", "134/Spring/7", 1)
    assert [event.status for event in history.events] == ["requested", "accepted", "acknowledged"]
    assert {event.signature for event in history.events} == {"valid"}
    assert history.answer is not None
    assert history.answer.http_status == 200
    assert history.acknowledgement is not None
    assert history.acknowledgement.ce_id == "session-0"
    assert [event.what for event in history.user_events] == ["DoNotCallAcknowledge"]
    assert len(bundle.records) == 5
    assert (bundle.gaps, bundle.contradictions, bundle.missing) == ((), (), ())
    assert {schema.id.split(":")[-2] for schema in bundle.schemas} == {"operation", "acknowledgement", "user-event"}


@pytest.mark.parametrize(
    ("status", "now", "verdict"),
    [
        ("accepted", START + 60, "waiting"),
        ("timed-out", START + 10 * 86_400 - 1, "waiting"),
        ("timed-out", START + 10 * 86_400 + 1, "overdue"),
        ("rejected", START + 60, "rejected"),
    ],
)
async def test_verdict_without_an_acknowledgement(status: str, now: float, verdict: str) -> None:
    """Without an acknowledgement an operation waits until its deadline, and is overdue after it, or is rejected."""
    topics = Topics()
    await topics.write(operation("r1", "requested", START), operation("r1", status, START + 30))
    [history] = (await collector(topics, now=now).collect("reference", "r1")).operations
    assert history.verdict == verdict


async def test_an_acknowledgement_after_the_deadline_is_late() -> None:
    """An acknowledgement that comes after the deadline is told with the days that it took."""
    topics, at = Topics(), START + 11 * 86_400
    await topics.write(
        operation("r1", "requested", START), acknowledged("r1", at), operation("r1", "acknowledged", at, late=True)
    )
    [history] = (await collector(topics, now=at + 1).collect("reference", "r1")).operations
    assert (history.verdict, history.days, history.late) == ("late", 11.0, True)


async def test_a_rejected_operation_is_told_with_the_answer() -> None:
    """A refusal of Web Services is in the bundle, word for word."""
    topics = Topics()
    await topics.write(operation("r1", "requested", START), operation("r1", "rejected", START + 1, upstream=REFUSED))
    bundle = await collector(topics).collect("reference", "r1")
    answer = bundle.operations[0].answer
    assert answer is not None
    assert (answer.status_code, answer.status_message) == (3, "<b>forbidden</b>")
    assert "acknowledgement" not in {one.what for one in bundle.missing}


async def test_a_gap_is_told_only_where_an_operation_waited() -> None:
    """A gap of the account is in the bundle if the operation waited in it, and not if it had ended, or before it."""
    topics = Topics()
    await topics.write(gap(START - 50, START - 40), operation("r1", "requested", START), gap(START + 1, START + 20))
    await topics.write(gap(START + 1, START + 20, account="bob"), operation("r1", "timed-out", START + 30))
    bundle = await collector(topics).collect("reference", "r1")
    [found] = bundle.gaps
    assert (found.account, found.operations) == ("alice", ("r1",))
    assert sum(record.topic == "gws.sessions.v1" for record in bundle.records) == 1
    await whole_life(topics, "r2")
    await topics.write(gap(START + 40, START + 50))
    assert [one.operations for one in (await collector(topics).collect("reference", "r2")).gaps] == [("r2",)]


@pytest.mark.parametrize(("phone", "known"), [("555-0107", True), ("+1 5550107", False)])
async def test_search_by_phone_number(phone: str, *, known: bool) -> None:
    """A number is found in any spelling of its separators, with operations, acknowledgements and user events."""
    topics = Topics()
    await whole_life(topics)
    if not known:
        with pytest.raises(NoSuchEvidence):
            await collector(topics).collect("phone", phone)
        return
    bundle = await collector(topics).collect("phone", phone)
    assert [history.reference_id for history in bundle.operations] == ["r1"]
    assert len(bundle.records) == 5


async def test_search_by_phone_number_follows_the_record() -> None:
    """An operation that names only the handle is found by the number of its acknowledgement."""
    topics = Topics()
    request = {"request": b'{"applicationId":134,"campaignName":"Spring"}'}
    await topics.write(operation("r1", "requested", START, **request), acknowledged("r1", START + 1))
    bundle = await collector(topics).collect("phone", "5550107")
    assert [history.reference_id for history in bundle.operations] == ["r1"]


async def test_hidden_phone_numbers_are_searched_by_their_hmac() -> None:
    """With `hmac` a number is found by its HMAC; with `omit` the search is refused with the reason."""
    privacy = Concealment(b"a secret of 16 bytes")
    topics = Topics(privacy=privacy)
    await topics.write(operation("r1", "requested", START))
    assert b"5550107" not in (topics.records[0].value or b"")
    bundle = await collector(topics, conceal=privacy).collect("phone", "5550107")
    assert bundle.operations[0].record_key == "134/Spring/7"
    assert bundle.head.subject.searched_as == (privacy.number("5550107"),)
    with pytest.raises(UnusableInput, match="omit"):
        await collector(topics, conceal=Concealment(None)).collect("phone", "5550107")


async def test_search_by_record_and_by_job() -> None:
    """A record gives all operations about it; a job gives those whose reference begins with its name."""
    topics = Topics()
    await whole_life(topics, "spring-1-1")
    await whole_life(topics, "later", 2)
    await topics.write(operation("spring2-1", "requested", START, record_handle=8))
    by_record = await collector(topics).collect("record", "134/Spring/7")
    assert {history.reference_id for history in by_record.operations} == {"spring-1-1", "later"}
    by_job = await collector(topics).collect("job", "spring")
    assert [history.reference_id for history in by_job.operations] == ["spring-1-1"]


@pytest.mark.parametrize("record", ["134/Spring", "134/Spring/x", "a/Spring/7", "134//7", ""])
async def test_a_record_that_can_not_be_one_is_refused(record: str) -> None:
    """A record needs a campaign and a handle in digits."""
    with pytest.raises(UnusableInput, match="APPLICATION/CAMPAIGN/HANDLE"):
        await collector(Topics()).collect("record", record)


async def test_contradictions_are_told() -> None:
    """A second acknowledgement, a use after the acknowledgement, and an unsigned event are each named."""
    topics = Topics()
    await whole_life(topics)
    await topics.write(acknowledged("r1", START + 9, number=7), heard(START + 20, number=8, event="PreviewRecord"))
    await topics.write(operation("r1", "rejected", START + 3, account="alice", attempt=9), signed=False)
    bundle = await collector(topics).collect("reference", "r1")
    assert {one.what for one in bundle.contradictions} == {
        "acknowledged-again",
        "used-after-acknowledgement",
        "event-not-signed",
    }
    assert bundle.operations[0].status == "acknowledged"
    assert bundle.operations[0].attempts == 1


async def test_an_acknowledgement_that_is_named_and_not_there_is_missing() -> None:
    """An operation that names an acknowledgement which is on no topic is told as such."""
    topics = Topics()
    await topics.write(operation("r1", "acknowledged", START + 2, acknowledgement_id="gone-1"))
    bundle = await collector(topics).collect("reference", "r1")
    assert {one.what for one in bundle.missing} == {"requested-event", "named-acknowledgement"}
    assert bundle.operations[0].verdict == "in-time"
    assert bundle.operations[0].acknowledgement is None


async def test_a_dead_letter_stands_for_the_acknowledgement() -> None:
    """An acknowledgement that Kafka refused is found by its dead letter."""
    topics = Topics()
    letter = dead_letter(acknowledged("r1", START + 2), "too-large", at=START + 2)
    await topics.write(operation("r1", "requested", START), letter)
    changes = {
        "acknowledgement_id": "session-0-dead-letter",
        "acknowledgement_key": "134/Spring/7",
        "acknowledgement_topic": DEAD_LETTERS,
    }
    await topics.write(operation("r1", "acknowledged", START + 2, **changes))
    [history] = (await collector(topics).collect("reference", "r1")).operations
    assert history.acknowledgement is not None
    assert "too-large" in (history.acknowledgement.what or "")


async def test_an_acknowledgement_without_an_operation_is_found_by_its_reference() -> None:
    """The bundle of a reference that only an acknowledgement has says that the operation is missing."""
    topics = Topics()
    await topics.write(acknowledged("theirs", START))
    bundle = await collector(topics).collect("reference", "theirs")
    assert (bundle.operations, len(bundle.records)) == ((), 1)
    assert "operation" in {one.what for one in bundle.missing}


async def test_junk_on_the_topics_is_passed_over() -> None:
    """Records that are no events, or have members of wrong types, neither fail a search nor get into a bundle."""
    topics = Topics()
    await whole_life(topics)
    record = acknowledged("r1", START)
    for value in (
        b"",
        b"{",
        b"[]",
        b'{"referenceId":["r1"]}',
        b"\0\0\0\0\1r1",
        b'{"referenceId":"r1","attempt":1e999}',
    ):
        for topic in ("operations.v1", "acknowledgements.v1", "sessions.v1"):
            topics.append(type(record)(topic, b"r1", value, []), 0)
    assert len((await collector(topics).collect("reference", "r1")).records) == 5
