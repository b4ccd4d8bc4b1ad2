"""All operations that this process knows of."""

from __future__ import annotations

import asyncio

from bridge.events import rfc3339
from bridge.operations.view import OperationsView
from tests.unit.operation_parts import ACCOUNT, event

NOON = 1_767_268_800.0
NAME = (ACCOUNT, "DoNotCallRecord", 134, "Campaign1", 13)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> float:
        return self.time


def view(limit: int = 100, age: float = 3600, clock: Clock | None = None) -> OperationsView:
    return OperationsView(limit=limit, age=age, clock=clock or Clock())


def filled(count: int, limit: int = 100) -> OperationsView:
    operations = view(limit)
    for number in range(count):
        operations.apply(event("requested", reference=str(number), received_at=rfc3339(NOON + number)))
    return operations


def references(operations: OperationsView, limit: int = 100, after: str | None = None) -> list[str]:
    return [one.reference_id for one in operations.list(None, limit, after).operations]


def test_pages_join_without_gap_or_double() -> None:
    """Newest first, each page goes on where the one before ended, and the last one says so."""
    operations = filled(7)
    found, after, pages = [], None, 0
    while True:
        page = operations.list(None, 3, after)
        found += [one.reference_id for one in page.operations]
        pages += 1
        if page.next is None:
            break
        after = page.next
    assert found == ["6", "5", "4", "3", "2", "1", "0"]
    assert pages == 3


def test_newest_stay_whatever_the_order_of_loading() -> None:
    """A ledger that is read partition by partition leaves the newest operations, and holds not many more meanwhile."""
    operations, most = view(limit=20), 0
    operations.loading = True
    for partition in (3, 2, 1, 0):  # the newest come first here
        for number in range(partition, 400, 4):
            operations.apply(event("requested", reference=str(number), received_at=rfc3339(NOON + number)))
            operations.evict()
            most = max(most, len(operations))
    operations.sort()
    assert references(operations) == [str(number) for number in range(399, 379, -1)]
    assert operations.pending_count(ACCOUNT) == 20
    assert most <= 25


def test_exact_last_page_has_no_next() -> None:
    """A page that takes the last operation with it is the last one."""
    assert filled(3).list(None, 3, None).next is None


def test_cursor_that_made_room_ends_the_listing() -> None:
    """After an operation that is no longer known there is nothing: the older ones have made room too."""
    assert references(filled(3), after="unheard") == []


def test_list_by_status() -> None:
    """A status selects, and the cursor works within it."""
    operations = filled(4)
    operations.apply(event("accepted", reference="2"))
    assert [one.reference_id for one in operations.list("requested", 2, None).operations] == ["3", "1"]
    assert [one.reference_id for one in operations.list("requested", 2, "1").operations] == ["0"]


def test_number_is_bounded() -> None:
    """Beyond the limit the oldest make room, pending or not, and leave nothing behind."""
    operations = filled(5, limit=3)
    assert references(operations) == ["4", "3", "2"]
    assert operations.pending_count(ACCOUNT) == 3
    assert operations.only_pending(NAME) is None


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


def test_of_an_old_ledger_only_what_is_pending_is_kept() -> None:
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
    assert references(operations) == ["2", "0"]


def test_sort_brings_the_callers_order() -> None:
    """What came partition by partition is listed by the time that the callers sent it."""
    operations = view()
    for number in (2, 0, 1):
        operations.apply(event("requested", reference=str(number), received_at=rfc3339(NOON + number)))
    operations.sort()
    assert references(operations) == ["2", "1", "0"]


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
    async with asyncio.timeout(1):
        await waiting


async def test_cancelled_waiter_leaves_nothing() -> None:
    """A waiter that gave up is forgotten."""
    operations = filled(1)
    waiting = asyncio.ensure_future(operations.changed("0"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert operations._changed == {}
