"""All operations that this process knows of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import Status, rfc3339
from bridge.operations import OperationFilter
from bridge.operations.recorded_request import digest
from bridge.operations.view.filters import Matcher
from bridge.operations.view.state import event_of
from bridge.operations.view.view import MOST_BYTES, OVERHEAD, OperationsView
from tests.unit.held import held
from tests.unit.operation_parts import ACCOUNT, AT, SAMPLE, event
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.events import Operation
    from bridge.operations import OperationView

NOON = 1_767_268_800.0
NAME = (ACCOUNT, "DoNotCallRecord", 134, "Campaign1", 13)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> float:
        return self.time


def view(
    limit: int = 100, age: float = 3600, clock: Clock | None = None, most_bytes: int = MOST_BYTES
) -> OperationsView:
    return OperationsView(limit=limit, age=age, most_bytes=most_bytes, clock=clock or Clock())


def filled(count: int, limit: int = 100) -> OperationsView:
    operations = view(limit)
    for number in range(count):
        operations.apply(event("requested", reference=str(number), received_at=rfc3339(NOON + number)))
    return operations


async def references(operations: OperationsView, limit: int = 100, after: str | None = None) -> list[str]:
    return [one.reference_id for one in (await operations.list(every, limit, after)).operations]


def every(_: OperationView) -> bool:
    return True


async def test_pages_join_without_gap_or_double() -> None:
    """Newest first, each page goes on where the one before ended, and the last one says so."""
    operations = filled(7)
    found, after, pages = [], None, 0
    while True:
        page = await operations.list(every, 3, after)
        found += [one.reference_id for one in page.operations]
        pages += 1
        if page.next is None:
            break
        after = page.next
    assert found == ["6", "5", "4", "3", "2", "1", "0"]
    assert pages == 3


STATUSES = st.sampled_from(get_args(Status))


@given(
    steps=st.lists(st.tuples(STATUSES, st.integers(1, 2), st.booleans()), min_size=1, max_size=6), loading=st.booleans()
)
def test_events_together_are_as_one_after_another(steps: list[tuple[Status, int, bool]], *, loading: bool) -> None:
    """Events of one operation that are applied together lead to the same view as one after another."""
    together, alone = view(), view()
    together.loading = alone.loading = loading
    for trusted, number in ((True, "1"), (False, "2")):
        events = [event(status, attempt=attempt, reference=number) for status, attempt, own in steps if own is trusted]
        if events:
            together.apply(*events, trusted=trusted)
        for one in events:
            alone.apply(one, trusted=trusted)
    for operations in (together, alone):
        operations.sort()
    for reference in ("1", "2"):
        assert together.get(reference) == alone.get(reference)
    assert together.pending(ACCOUNT) == alone.pending(ACCOUNT)
    assert together.only_pending(NAME) == alone.only_pending(NAME)
    assert (together.size, len(together), together.awaits(ACCOUNT)) == (alone.size, len(alone), alone.awaits(ACCOUNT))


async def test_newest_stay_whatever_the_order_of_loading() -> None:
    """A ledger that is read partition by partition leaves the newest operations, and holds not many more meanwhile."""
    operations, most = view(limit=20), 0
    operations.loading = True
    for partition in (3, 2, 1, 0):  # the newest come first here
        for number in range(partition, 400, 4):
            operations.apply(event("accepted", reference=str(number), received_at=rfc3339(NOON + number)))
            operations.apply(event("timed-out", reference=str(number), received_at=rfc3339(NOON + number)))
            most = max(most, len(operations))
    operations.sort()
    assert await references(operations) == [str(number) for number in range(399, 379, -1)]
    assert operations.pending_count(ACCOUNT) == 0
    assert most <= 25


async def test_exact_last_page_has_no_next() -> None:
    """A page that takes the last operation with it is the last one."""
    assert (await filled(3).list(every, 3, None)).next is None


async def test_cursor_that_made_room_ends_the_listing() -> None:
    """After an operation that is no longer known there is nothing: the older ones have made room too."""
    assert await references(filled(3), after="unheard") == []


async def test_list_by_status() -> None:
    """A status selects, and the cursor works within it."""
    operations = filled(4)
    operations.apply(event("accepted", reference="2"))
    requested = Matcher(OperationFilter(status="requested"), None)
    assert [one.reference_id for one in (await operations.list(requested, 2, None)).operations] == ["3", "1"]
    assert [one.reference_id for one in (await operations.list(requested, 2, "1")).operations] == ["0"]


async def test_number_is_bounded() -> None:
    """Beyond the limit what has ended makes room, and leaves nothing behind."""
    operations = filled(3, limit=3)
    for number in (1, 0, 2):
        operations.apply(event("acknowledged", reference=str(number)))
    operations.apply(event("requested", reference="3"))
    operations.apply(event("requested", reference="4"))
    assert await references(operations) == ["4", "3", "2"]
    assert operations.pending_count(ACCOUNT) == 2


async def test_pending_operations_stay_whatever_the_limits() -> None:
    """Nothing drops a pending operation: the view says that it is full, until operations have ended."""
    operations = filled(5, limit=3)
    assert operations.full()
    operations.apply(event("acknowledged", reference="7"))
    assert await references(operations) == ["4", "3", "2", "1", "0"]
    for number in range(3):
        assert operations.full()
        operations.apply(event("timed-out", reference=str(number)))
    assert not operations.full()
    assert operations.full(0.5)


def large(status: Any, number: int, size: int = 60_000, **changes: Any) -> Operation:
    body = SAMPLE | {"referenceId": str(number), "note": "x" * size}
    return event(status, reference=str(number), request=msgspec.Raw(msgspec.json.encode(body)), **changes)


def test_large_requests_are_not_kept() -> None:
    """Only a request that a process must still forward stays whole in memory; the same request is known again."""
    operations = view(limit=10_000)
    for number in range(100):
        operations.apply(large("requested", number))
    assert operations.size < 400_000
    operations.apply(large("requested", 100, asynchronous=True))
    promised = operations.get("100")
    assert promised is not None
    assert len(promised.request["note"]) == 60_000
    operations.apply(large("accepted", 100, asynchronous=True))
    accepted = operations.get("100")
    assert accepted is not None
    assert "note" not in accepted.request
    assert accepted.request["phoneNumber"] == "3001"
    assert accepted.request_digest == digest(bytes(large("requested", 100).request))
    assert len(event_of(accepted, "timed-out", AT).request) < 4096


def test_bytes_are_bounded() -> None:
    """By the second bound, too, what has ended makes room, and what is promised fills the view."""
    operations = view(limit=10_000, most_bytes=1_000_000)
    for number in range(10):
        operations.apply(event("requested", reference=f"old-{number}"))
        operations.apply(event("timed-out", reference=f"old-{number}"))
    promised = 0
    while not operations.full() and promised < 100:
        operations.apply(large("requested", promised, asynchronous=True))
        promised += 1
    assert 15 <= promised <= 17
    assert len(operations) == promised
    for number in range(promised):
        operations.apply(large("rejected", number))
    assert len(operations) == promised
    assert operations.size < 100_000


Steps: TypeAlias = list[tuple[int, Status, int, bool]]
STEPS = st.lists(st.tuples(st.integers(0, 3), STATUSES, st.integers(1, 3), st.booleans()))


def take(operations: OperationsView, steps: Steps) -> None:
    """Apply events of up to four operations, about the same record or with another phone number."""
    for number, status, attempt, different in steps:
        body = {"phoneNumber": "3002", "note": "x" * 300} if different else {"phoneNumber": "3001"}
        request = msgspec.Raw(msgspec.json.encode(SAMPLE | body))
        changes: dict[str, Any] = {"request": request, "attempt": attempt, "asynchronous": different}
        operations.apply(event(status, reference=str(number), **changes))


@given(STEPS)
def test_the_sums_are_those_of_the_operations(steps: Steps) -> None:
    """After any events the bytes, the counts and what is found by record are those of the operations that are there."""
    clock = Clock()
    operations = view(limit=3, clock=clock)
    take(operations, steps)
    there = [one for one in map(operations.get, "0123") if one is not None]
    pending = [one for one in there if one.pending]
    timed_out = [one for one in there if one.status == "timed-out"]
    assert len(operations) == len(there)
    assert operations.size == sum(map(size_of, there))
    assert {one.reference_id for one in operations.pending(ACCOUNT)} == {one.reference_id for one in pending}
    assert operations.pending_count(ACCOUNT) == len(pending)
    assert operations.timed_out_count(ACCOUNT) == len(timed_out)
    assert operations.awaits(ACCOUNT) == bool(pending or timed_out)
    assert operations.accounts() == [ACCOUNT] * bool(pending)
    for name in (13, "3001", "3002"):
        named = [one for one in pending if name in {one.record_handle, one.request["phoneNumber"]}]
        assert operations.only_pending((*NAME[:4], name)) == (named[0] if len(named) == 1 else None)
    clock.time += 2 * 3600
    operations.evict()
    assert [one for one in map(operations.get, "0123") if one is not None] == pending
    assert operations.size == sum(map(size_of, pending))


def size_of(one: OperationView) -> int:
    """What a view says of this operation alone."""
    return OVERHEAD + len(msgspec.msgpack.encode(one))


@given(STEPS)
def test_only_pending_operations_fill_the_view(steps: Steps) -> None:
    """After any events the view is full of the bytes of pending operations, and of no others."""
    operations = view(limit=1 << 40, most_bytes=1 << 20)
    take(operations, steps)
    found = [one for one in map(operations.get, "0123") if one is not None and one.pending]
    pending = sum(map(size_of, found))
    assert operations.full(pending / (1 << 20))
    assert not operations.full((pending + 1) / (1 << 20))


def test_age_is_bounded() -> None:
    """What has ended and is too old goes, and does not come back by a late event; what is pending stays until then."""
    clock = Clock()
    operations = view(age=10, clock=clock)
    operations.apply(event("requested", received_at=rfc3339(NOON)))
    clock.time += 11
    operations.evict()
    assert operations.pending_count(ACCOUNT) == 1
    operations.apply(event("timed-out", received_at=rfc3339(NOON)))
    operations.evict()
    assert len(operations) == 0
    assert operations.apply(event("accepted", received_at=rfc3339(NOON))) is None
    assert operations.apply(event("acknowledged", received_at=rfc3339(NOON))) is None


async def test_of_an_old_ledger_only_what_is_pending_is_kept() -> None:
    """While the ledger is read, an old operation takes room from its first event to the one that ends it."""
    clock = Clock()
    operations = view(age=10, clock=clock)
    operations.loading = True
    clock.time += 11
    for number in range(3):
        operations.apply(event("requested", reference=str(number), received_at=rfc3339(NOON)))
    assert operations.apply(event("acknowledged", reference="1", received_at=rfc3339(NOON))) is None
    assert len(operations) == 2
    operations.sort()
    assert await references(operations) == ["2", "0"]


async def test_sort_brings_the_callers_order() -> None:
    """What came partition by partition is listed by the time that the callers sent it."""
    operations = view()
    for number in (2, 0, 1):
        operations.apply(event("requested", reference=str(number), received_at=rfc3339(NOON + number)))
    operations.sort()
    assert await references(operations) == ["2", "1", "0"]


def test_only_one_pending_operation_about_a_record_is_told() -> None:
    """Two pending operations about one record can't be told apart; with one of them ended the other is the one."""
    operations = filled(2)
    assert operations.only_pending(NAME) is None
    operations.apply(event("acknowledged", reference="0"))
    found = operations.only_pending(NAME)
    assert found is not None
    assert found.reference_id == "1"
    assert operations.only_pending((*NAME[:4], "3001")) == found
    operations.apply(event("timed-out", reference="1"))
    assert operations.only_pending(NAME) is None
    assert operations.pending(ACCOUNT) == []


async def test_changed_wakes_for_that_operation_only() -> None:
    """A waiter is woken by its own operation's change, not by another's, nor by an event that changes nothing."""
    operations = filled(2)
    waiting = asyncio.ensure_future(operations.changed("0"))
    await asyncio.sleep(0)
    operations.apply(event("accepted", reference="1"))
    operations.apply(event("requested", reference="0", received_at=rfc3339(NOON)))
    await asyncio.sleep(0)
    assert not waiting.done()
    operations.apply(event("accepted", reference="0"))
    async with asyncio.timeout(30):
        await waiting


async def test_cancelled_waiter_leaves_nothing() -> None:
    """A waiter that gave up is forgotten."""
    operations = filled(1)
    before = held(operations)
    waiting = asyncio.ensure_future(operations.changed("0"))
    await eventually(lambda: held(operations) > before)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert held(operations) == before
