"""Which events of a reply are new, and what each transaction commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import Batch, Event
from bridge.delivery import EMPTY_POSITION
from bridge.relay.numbering import chunks, start_of

if TYPE_CHECKING:
    from bridge.delivery import Position

SIZES = st.integers(1, 7)
COUNTS = st.integers(0, 30)
CUTS = st.lists(st.integers(1, 9), max_size=8)


def batch(count: int, *, base: int | None = 0, acknowledgement: int | None = 1, at: float = 5.0) -> Batch:
    return Batch("client", base, acknowledgement, [Event(f"/{number}") for number in range(count)], at)


def numbered(position: Position, received: Batch, size: int) -> tuple[list[tuple[int, str]], list[Position]]:
    """Return (sequence, channel) of each event that the chunks bring, and the positions they leave."""
    found, positions = [], []
    for step in chunks(position, received, size):
        assert len(step.events) <= size
        found += [(step.first_sequence + index, event.channel) for index, event in enumerate(step.events)]
        positions.append(step.position)
    return found, positions


@given(COUNTS, SIZES, st.integers(0, 1000))
def test_each_event_has_the_sequence_of_its_place(count: int, size: int, base: int) -> None:
    """An event's sequence is its place in the session, however the reply is cut into transactions."""
    position = msgspec.structs.replace(
        start_of("client", 1.0, ack_extension=True), base_sequence=base, next_sequence=base
    )
    found, positions = numbered(position, batch(count), size)
    assert found == [(base + index, f"/{index}") for index in range(count)]
    assert positions[-1] == msgspec.structs.replace(
        position, acknowledgement=1, base_sequence=base + count, next_sequence=base + count, last_reply_at=5.0
    )


@given(COUNTS, SIZES, st.data())
def test_a_crash_between_two_transactions_repeats_nothing(count: int, size: int, data: st.DataObject) -> None:
    """After a crash the same reply, with more behind it, brings exactly the events that are not in Kafka yet."""
    position = start_of("client", 1.0, ack_extension=True)
    done = list(chunks(position, batch(count), size))
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
    position = start_of("client", 1.0, ack_extension=True)
    _, positions = numbered(position, batch(count, acknowledgement=9), size)
    assert [one.acknowledgement for one in positions] == [0] * (len(positions) - 1) + [9]
    assert {one.base_sequence for one in positions[:-1]} <= {0}


@given(COUNTS, COUNTS, SIZES)
def test_without_acknowledgements_events_count_on(first: int, second: int, size: int) -> None:
    """Events that the server will not send again are numbered on from the last one, and leave nothing to skip."""
    position = start_of("client", 1.0, ack_extension=False)
    _, positions = numbered(position, batch(first, base=None, acknowledgement=None), size)
    found, after = numbered(positions[-1], batch(second, base=None, acknowledgement=None), size)
    assert [sequence for sequence, _ in found] == list(range(first, first + second))
    assert all(one.base_sequence == one.next_sequence for one in positions + after)
    assert after[-1].acknowledgement is None


@given(COUNTS, COUNTS, SIZES)
def test_stray_events_do_not_shift_what_comes_again(stray: int, count: int, size: int) -> None:
    """Events beside a poll's own reply are counted, and the next reply begins behind them."""
    position = start_of("client", 1.0, ack_extension=True)
    _, positions = numbered(position, batch(stray, base=None, acknowledgement=None), size)
    assert positions[-1].acknowledgement == 0
    found, _ = numbered(positions[-1], batch(count), size)
    assert [sequence for sequence, _ in found] == list(range(stray, stray + count))


def parts_of(events: list[Event], sizes: list[int], *, base: int | None, acknowledgement: int | None) -> list[Batch]:
    """Cut a reply as it comes over the wire; the last part, perhaps an empty one, has the acknowledgement."""
    batches, offset = [], 0
    for size in sizes:
        batches.append(Batch("client", base, None, events[offset : offset + size], 5.0, offset=offset, more=True))
        offset += len(batches[-1].events)
    return [*batches, Batch("client", base, acknowledgement, events[offset:], 5.0, offset=offset)]


def channels(count: int) -> list[Event]:
    return [Event(f"/{number}") for number in range(count)]


@given(COUNTS, CUTS, SIZES, st.integers(0, 100))
def test_parts_of_a_reply_are_numbered_as_the_whole(count: int, sizes: list[int], size: int, base: int) -> None:
    """A reply that comes in parts has the sequences of the whole, and the same position at its end, not before."""
    position = msgspec.structs.replace(
        start_of("client", 1.0, ack_extension=True), base_sequence=base, next_sequence=base
    )
    found = []
    for part in parts_of(channels(count), sizes, base=0, acknowledgement=1):
        assert (position.acknowledgement, position.base_sequence) == (0, base)
        numbers, positions = numbered(position, part, size)
        found += numbers
        position = positions[-1]
    assert found == [(base + index, f"/{index}") for index in range(count)]
    assert (position.acknowledgement, position.base_sequence, position.next_sequence) == (1, base + count, base + count)


@given(st.tuples(COUNTS, COUNTS), SIZES, CUTS, CUTS, st.data())
def test_a_reply_that_is_cut_repeats_nothing(
    counts: tuple[int, int], size: int, sizes: list[int], again: list[int], data: st.DataObject
) -> None:
    """Wherever a reply is cut, the next one, cut into other parts, brings exactly what is not in Kafka yet."""
    count, more = counts
    position, committed = start_of("client", 1.0, ack_extension=True), list[tuple[int, str]]()
    parts = parts_of(channels(count), sizes, base=0, acknowledgement=1)
    for part in parts[: data.draw(st.integers(0, len(parts) - 1))]:
        numbers, positions = numbered(position, part, size)
        committed += numbers
        position = positions[-1]
    for part in parts_of(channels(count + more), again, base=0, acknowledgement=2):
        numbers, positions = numbered(position, part, size)
        committed += numbers
        position = positions[-1]
    assert committed == [(index, f"/{index}") for index in range(count + more)]
    assert (position.acknowledgement, position.next_sequence) == (2, count + more)


@given(COUNTS, CUTS, SIZES)
def test_parts_without_acknowledgements_count_on(count: int, sizes: list[int], size: int) -> None:
    """Parts that the server does not send again leave nothing to skip."""
    position, found = start_of("client", 1.0, ack_extension=False), list[tuple[int, str]]()
    for part in parts_of(channels(count), sizes, base=None, acknowledgement=None):
        numbers, positions = numbered(position, part, size)
        found += numbers
        position = positions[-1]
        assert position.base_sequence == position.next_sequence
    assert found == [(index, f"/{index}") for index in range(count)]


def test_an_empty_reply_moves_the_position() -> None:
    """An empty reply leaves one transaction's worth: the newer acknowledgement and the time of the reply."""
    [step] = chunks(start_of("client", 1.0, ack_extension=True), batch(0, acknowledgement=4, at=7.5), 10)
    assert not step.events
    assert (step.position.acknowledgement, step.position.last_reply_at) == (4, 7.5)


def test_nowhere_has_no_session() -> None:
    """The position before the first session gives a successor nothing to resume, and no gap to tell of."""
    assert not EMPTY_POSITION.client_id
    assert not EMPTY_POSITION.last_reply_at
