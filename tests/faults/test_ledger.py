"""The ledger itself: each thing that it is there to find, it finds."""

from datetime import UTC, datetime

import msgspec

from tests.faults.ledger import Content, Publication, Seen, SessionEvent, compare

PUBLISHED = [Publication(0, 4, began=100.0, ended=101.0)]


def seen(number: int, *, key: bytes = b"k", event_id: str | None = None, sent: int = 0) -> Seen:
    original = msgspec.Raw(msgspec.json.encode({"referenceId": str(number), "sent": sent}))
    return Seen(
        "acknowledgements.v1", 0, number, 0, key, event_id or f"s-{number}", Content(str(number), original=original)
    )


def gap(began: float, ended: float) -> SessionEvent:
    return SessionEvent("gap", "new", from_=datetime.fromtimestamp(began, UTC), to=datetime.fromtimestamp(ended, UTC))


def test_a_right_account_has_no_faults() -> None:
    """Each event once and in order is no fault, whatever the order between two keys."""
    account = compare(PUBLISHED, [seen(0), seen(2), seen(1, key=b"other"), seen(3, key=b"other")], [])
    assert account.faults() == []


def test_a_missing_event_is_found() -> None:
    """What was published and is not in Kafka is missing; with no gap around it nothing excuses that."""
    account = compare(PUBLISHED, [seen(0), seen(1), seen(3)], [gap(102.0, 103.0)])
    assert account.missing == [2]
    assert account.faults()
    assert account.faults(doubles=True)


def test_a_gap_excuses_what_was_published_in_it() -> None:
    """What was published while a gap tells that there was no session is lost, and told; no fault."""
    account = compare(PUBLISHED, [seen(0), seen(1)], [gap(99.0, 100.5)])
    assert account.lost == [2, 3]
    assert account.faults() == []


def test_an_uncertain_publication_may_be_missing() -> None:
    """Nothing is demanded of a publication over which the server died, but nothing of it is a stranger."""
    account = compare([Publication(0, 4, 100.0, 101.0, certain=False)], [seen(0)], [])
    assert account.faults() == []


def test_a_double_by_id_is_found() -> None:
    """The same event id twice is a fault, except where delivery is at-least-once."""
    account = compare(PUBLISHED, [*(seen(number) for number in range(4)), seen(3)], [])
    assert account.doubled_ids == ["s-3"]
    assert account.faults()
    assert account.faults(doubles=True) == []


def test_a_double_by_content_is_found() -> None:
    """The same content under another id is a fault in any case: no consumer could tell."""
    account = compare(PUBLISHED, [*(seen(number) for number in range(4)), seen(3, event_id="s-4")], [])
    assert account.doubled_ids == []
    assert len(account.doubled_contents) == len(account.renamed) == 1
    assert account.faults(doubles=True)


def test_a_wrong_order_is_found() -> None:
    """Two events of one key in the wrong order are a fault."""
    account = compare(PUBLISHED, [seen(0), seen(2), seen(1), seen(3)], [])
    assert account.disordered == [b"k"]
    assert account.faults()


def test_a_stranger_is_found() -> None:
    """An event that nobody published is a fault."""
    assert compare(PUBLISHED, [*(seen(number) for number in range(5))], []).strangers == [4]
