"""Which events of a reply are new, and what each transaction commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import Batch, Event
from bridge.numbering import NOWHERE, start_of, steps

if TYPE_CHECKING:
    from bridge.delivery import Position

SIZES = st.integers(1, 7)
COUNTS = st.integers(0, 30)


def batch(count: int, *, base: int | None = 0, acknowledgement: int | None = 1, at: float = 5.0) -> Batch:
    return Batch("client", base, acknowledgement, [Event(f"/{number}") for number in range(count)], at)


def numbered(position: Position, received: Batch, size: int) -> tuple[list[tuple[int, str]], list[Position]]:
    """Return (sequence, channel) of each event that the steps bring, and the positions they leave."""
    found, positions = [], []
    for step in steps(position, received, size):
        assert len(step.events) <= size
        found += [(step.first_sequence + index, event.channel) for index, event in enumerate(step.events)]
        positions.append(step.position)
    return found, positions


@given(COUNTS, SIZES, st.integers(0, 1000))
def test_each_event_has_the_sequence_of_its_place(count: int, size: int, base: int) -> None:
    """An event's sequence is its place in the session, however the reply is cut into transactions."""
    position = msgspec.structs.replace(start_of("client", ack_extension=True), base_sequence=base, next_sequence=base)
    found, positions = numbered(position, batch(count), size)
    assert found == [(base + index, f"/{index}") for index in range(count)]
    assert positions[-1] == msgspec.structs.replace(
        position, acknowledgement=1, base_sequence=base + count, next_sequence=base + count, last_reply_at=5.0
    )


@given(COUNTS, SIZES, st.data())
def test_a_crash_between_two_transactions_repeats_nothing(count: int, size: int, data: st.DataObject) -> None:
    """After a crash the same reply, with more behind it, brings exactly the events that are not in Kafka yet."""
    position = start_of("client", ack_extension=True)
    done = list(steps(position, batch(count), size))
    survived = data.draw(st.integers(0, len(done) - 1))
    committed = [event.channel for step in done[:survived] for event in step.events]
    after = done[survived - 1].position if survived else position
    more = data.draw(COUNTS)
    found, positions = numbered(after, batch(count + more, acknowledgement=2), size)
    assert committed + [channel for _, channel in found] == [f"/{number}" for number in range(count + more)]
    assert [sequence for sequence, _ in found] == list(range(len(committed), count + more))
    assert positions[-1].next_sequence == positions[-1].base_sequence == count + more


@given(COUNTS, SIZES)
def test_the_acknowledgement_moves_with_the_last_transaction_only(count: int, size: int) -> None:
    """Until the whole reply is in Kafka the position names the acknowledgement that brings all of it again."""
    position = start_of("client", ack_extension=True)
    _, positions = numbered(position, batch(count, acknowledgement=9), size)
    assert [one.acknowledgement for one in positions] == [0] * (len(positions) - 1) + [9]
    assert {one.base_sequence for one in positions[:-1]} <= {0}


@given(COUNTS, COUNTS, SIZES)
def test_without_acknowledgements_events_count_on(first: int, second: int, size: int) -> None:
    """Events that the server will not send again are numbered on from the last one, and leave nothing to skip."""
    position = start_of("client", ack_extension=False)
    _, positions = numbered(position, batch(first, base=None, acknowledgement=None), size)
    found, after = numbered(positions[-1], batch(second, base=None, acknowledgement=None), size)
    assert [sequence for sequence, _ in found] == list(range(first, first + second))
    assert all(one.base_sequence == one.next_sequence for one in positions + after)
    assert after[-1].acknowledgement is None


@given(COUNTS, COUNTS, SIZES)
def test_stray_events_do_not_shift_what_comes_again(stray: int, count: int, size: int) -> None:
    """Events beside a poll's own reply are counted, and the next reply begins behind them."""
    position = start_of("client", ack_extension=True)
    _, positions = numbered(position, batch(stray, base=None, acknowledgement=None), size)
    assert positions[-1].acknowledgement == 0
    found, _ = numbered(positions[-1], batch(count), size)
    assert [sequence for sequence, _ in found] == list(range(stray, stray + count))


def test_an_empty_reply_moves_the_position() -> None:
    """An empty reply leaves one transaction's worth: the newer acknowledgement and the time of the reply."""
    [step] = steps(start_of("client", ack_extension=True), batch(0, acknowledgement=4, at=7.5), 10)
    assert not step.events
    assert (step.position.acknowledgement, step.position.last_reply_at) == (4, 7.5)


def test_nowhere_has_no_session() -> None:
    """The position before the first session gives a successor nothing to resume, and no gap to tell of."""
    assert not NOWHERE.client_id
    assert not NOWHERE.last_reply_at
