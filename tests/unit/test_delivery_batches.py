"""How records are put together, and taken apart when Kafka refuses them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.client.batches import MAX_VALUE, Batch, batches, chunks, size_of, without_refused
from bridge.delivery.client.failures import Refusal
from bridge.delivery.position.stored import StoredPosition
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.errors import KafkaUnavailable
from bridge.events import DEAD_LETTERS, Record

TOPIC = "acknowledgements.v1"
PARTITIONS = {TOPIC: 3, DEAD_LETTERS: 2}
STORED = StoredPosition(owner="o", turn=1)


def record(n: int, size: int = 0) -> Record:
    return Record(TOPIC, b"key-%d" % (n % 5), b"%d" % n + b"x" * size, [])


def bury(one: Record, reason: Refusal) -> Record:
    return Record(DEAD_LETTERS, one.key, reason.encode() + b" " + one.value, [])


def values(these: Sequence[Batch]) -> list[bytes]:
    return [one.value for batch in these for one in batch.records]


def settle(turn: PublishAttempt, refuses: set[bytes]) -> tuple[list[Batch], int]:
    """Play a Kafka that refuses each batch with one of these values in it; the batches it takes, and the attempts."""
    for attempt in range(1, 40):
        sent = turn.batches(PARTITIONS, {})
        reasons: dict[Batch, Refusal] = {
            batch: "too-large" for batch in sent if any(one.value in refuses for one in batch.records)
        }
        if not reasons:
            return sent, attempt
        turn.refused(reasons)
    raise AssertionError("it does not end")


@given(st.integers(0, 60), st.integers(1, 7))
def test_batches_keep_the_order_within_a_partition(count: int, partitions: int) -> None:
    """Every record is in one batch, one batch a partition, in the order given."""
    made = batches([record(n) for n in range(count)], {TOPIC: partitions})
    assert sorted(int(value) for value in values(made)) == list(range(count))
    assert len({batch.partition for batch in made}) == len(made)
    for batch in made:
        numbers = [int(one.value) for one in batch.records]
        assert numbers == sorted(numbers)


@given(st.sets(st.integers(0, 63), max_size=5))
def test_only_what_is_refused_is_buried(refused: set[int]) -> None:
    """Exactly the refused records become dead letters; all others are published, in order within their keys."""
    turn = PublishAttempt("alice", [record(n) for n in range(64)], STORED, 0)
    taken, attempts = settle(turn, {b"%d" % n for n in refused})
    published = [one for batch in taken if batch.topic == TOPIC for one in batch.records]
    assert sorted(int(one.value) for one in published) == sorted(set(range(64)) - refused)
    for key in {one.key for one in published}:
        numbers = [int(one.value) for one in published if one.key == key]
        assert numbers == sorted(numbers)
    assert sum(turn.dead_lettered.values()) == len(refused)
    assert sum(batch.topic == DEAD_LETTERS for batch in taken) == len(refused)
    assert attempts <= 8, "more than halving needs"


def test_one_huge_record_is_found_at_once() -> None:
    """A record with most of a batch's bytes stands alone in the second attempt and is dead_lettered in the third."""
    huge = record(7, 100_000)
    turn = PublishAttempt(
        "alice", [*(record(n) for n in range(500)), huge, *(record(n) for n in range(500))], STORED, 0
    )
    _, attempts = settle(turn, {huge.value})
    assert attempts == 3


def test_a_value_over_the_utmost_is_not_sent() -> None:
    """What would make a broker close the connection is dead_lettered before the first attempt."""
    turn = PublishAttempt("alice", [record(1), record(2, MAX_VALUE), record(3)], STORED, 0)
    assert turn.topics == {TOPIC, DEAD_LETTERS}
    assert turn.dead_lettered == {"too-large": 1}
    sent = turn.batches(PARTITIONS, {})
    assert max(len(value) for value in values(sent)) < 10_000


def test_a_refused_position_or_dead_letter_is_not_divided() -> None:
    """What people must put right is reported, not dead_lettered again and again."""
    turn = PublishAttempt("alice", [record(1)], STORED, 0)
    with pytest.raises(KafkaUnavailable, match="bridge-state"):
        turn.refused({turn.position: "too-large"})
    settle(turn, {b"1"})
    assert turn.counts() == {DEAD_LETTERS: 1}
    [letter] = turn.batches(PARTITIONS, {})
    with pytest.raises(KafkaUnavailable, match="dead-letters"):
        turn.refused({letter: "refused"})


def test_a_failure_keeps_what_was_buried() -> None:
    """After an outage in the middle of halving, the dead letters made so far stay, placed anew."""
    turn = PublishAttempt("alice", [record(n) for n in range(4)], STORED, 0)
    settle(turn, {b"2"})
    turn.failed()
    again = turn.batches({TOPIC: 1, DEAD_LETTERS: 1}, {})
    assert {(batch.topic, batch.partition, len(batch.records)) for batch in again} == {
        (TOPIC, 0, 3),
        (DEAD_LETTERS, 0, 1),
    }


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.integers(1, 1000))
def test_chunks_hold_the_limit_and_the_order(sizes: list[int], limit: int) -> None:
    """No piece is over the limit unless it is one record, and together they are the batch."""
    batch = Batch(TOPIC, 0, [record(n, size) for n, size in enumerate(sizes)])
    pieces = chunks(batch, limit)
    assert values(pieces) == values([batch])
    assert all(len(piece.records) == 1 or sum(map(size_of, piece.records)) <= limit for piece in pieces)


def test_batches_that_were_taken_stay() -> None:
    """Only the refused batches are divided."""
    kept, refused = Batch(TOPIC, 0, [record(1)]), Batch(TOPIC, 1, [record(2), record(3)])
    assert without_refused([kept, refused], {refused: "refused"}, bury)[0] is kept
