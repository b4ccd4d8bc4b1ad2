"""Keeps the state of all known operations in memory: operations of this process, and operations from the ledger."""

from __future__ import annotations

import asyncio
from itertools import dropwhile, islice
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from bridge.events import rfc3339
from bridge.operations.recorded_request import record_name
from bridge.operations.view.state import OperationView, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bridge.events import Operation

MOST_BYTES: Final = 64 << 20
OVERHEAD: Final = 1024
"""Bytes of memory that an operation takes in addition to its encoded fields. Measured with Python 3.11: about 600."""
SLICE: Final = 500
"""Number of operations that `list` examines before other tasks may run: about a millisecond of work."""
Name: TypeAlias = tuple[str, str, int | None, str | None, int | str]
"""An operation's outbound record: account, `operationName`, application, campaign, and either the record handle (a
number) or the phone number (a string)."""
Key = TypeVar("Key")
_NONE: Final[Mapping[str, None]] = {}


class Forwarded(NamedTuple):
    """Facts about a pending operation that only the forwarding process has."""

    at: float
    """When the forwarding began, in epoch seconds."""
    traceparent: str | None
    """The W3C trace context that the caller sent."""
    attempt: int
    """The newest attempt that this process made."""


class Page(NamedTuple):
    """A page of operations, newest first."""

    operations: list[OperationView]
    next: str | None
    """The value of `after` for the next page, None on the last page."""


class Counts(NamedTuple):
    """Numbers of operations."""

    pending: int
    """Operations that have not ended yet."""
    timed_out: int
    """Operations whose acknowledgement did not arrive in time, and has not arrived since then."""


class OperationsView:
    """Up to `limit` operations with `most_bytes` bytes in total. The ledger has the durable copy.

    Ended operations are dropped after `age` seconds. If there are too many operations, untrusted pending operations are
    dropped first, then the operations that ended the longest ago. Trusted pending operations are never dropped, so
    callers check `full` before they add an operation.
    """

    def __init__(
        self, *, limit: int, age: float, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time
    ) -> None:
        self._limit = limit
        self._most_bytes = most_bytes
        self._age = age
        self._clock = clock
        self._operations: dict[str, OperationView] = {}
        """All operations by referenceId, in the order of arrival."""
        self._ended: dict[str, None] = {}
        """The referenceIds of ended operations, in the order of their end."""
        self._for_show: dict[str, None] = {}
        """The referenceIds of untrusted pending operations."""
        self._sizes: dict[str, int] = {}
        """The `_size` of each operation."""
        self._bytes = 0
        self._pending_bytes = 0
        self._known_since: dict[str, float] = {}
        """When each pending operation got its present status and attempt in this view, by `time.monotonic`."""
        self._pending: dict[str, dict[str, None]] = {}
        """The referenceIds of each account's pending operations."""
        self._timed_out: dict[str, dict[str, None]] = {}
        """The referenceIds of each account's timed-out operations. Their acknowledgement may still arrive."""
        self._by_record: dict[Name, dict[str, None]] = {}
        """The referenceIds of pending operations, by outbound record."""
        self._named: dict[str, list[Name]] = {}
        """The outbound record of each pending operation, in the forms that are in `_by_record`."""
        self._changed: dict[str, list[asyncio.Future[None]]] = {}
        """The futures of the callers that wait in `changed`, by referenceId."""
        self.forwarded: dict[str, Forwarded] = {}
        """The pending operations that this process forwards, by referenceId."""
        self.loading = False
        """Whether the ledger is being read. Partitions are read one by one, so events are not in the order of time."""
        self.settling: set[str] = set()
        """The referenceIds of operations whose acknowledgement is in an uncommitted transaction."""

    def __len__(self) -> int:
        return len(self._operations)

    @property
    def size(self) -> int:
        """About how many bytes the operations take in memory."""
        return self._bytes

    def full(self, share: float = 1.0) -> bool:
        """Return whether the trusted pending operations alone reach `share` of the maximum number or bytes."""
        pending = len(self._operations) - len(self._ended) - len(self._for_show)
        return pending >= self._limit * share or self._pending_bytes >= self._most_bytes * share

    def apply(self, *events: Operation, trusted: bool = True) -> OperationView | None:
        """Apply events of one operation, in order. Return the operation, or None if it is too old to be kept."""
        before = self._operations.get(events[0].reference_id)
        if before is not None and trusted and not before.trusted:
            self._forget(before)
            before = None
        after = before
        for event in events:
            after = merge(after, event, trusted=trusted)
        assert after is not None
        kept = self.loading and after.pending  # even an old operation may still be pending
        if not kept and (before is None or self.loading) and after.received_at < self._oldest():
            if before is not None:
                self._forget(before)
            return None
        if after is not before:
            self._put(before, after)
        self.evict()
        return after

    def note_user_event(self, reference_id: str, event_id: str) -> None:
        """Store the `ce_id` of a user event in a pending operation, for the operation's next event."""
        view = self._operations[reference_id]
        if view.user_event_id is None:
            self._put(view, msgspec.structs.replace(view, user_event_id=event_id))

    def get(self, reference_id: str) -> OperationView | None:
        """Return one operation, None if it is unknown."""
        return self._operations.get(reference_id)

    def trusted(self, reference_id: str) -> OperationView | None:
        """Return one operation, None if it is unknown or untrusted."""
        view = self._operations.get(reference_id)
        return view if view is not None and view.trusted else None

    def accounts(self) -> list[str]:
        """Return the accounts with pending operations, including accounts of other processes."""
        return list(self._pending)

    def pending(self, account: str) -> list[OperationView]:
        """Return the account's pending operations, the oldest first."""
        return [self._operations[reference] for reference in self._pending.get(account, _NONE)]

    def pending_count(self, account: str) -> int:
        """Return how many of the account's operations are pending."""
        return len(self._pending.get(account, _NONE))

    def known_for(self, reference_id: str) -> float:
        """Return for how many seconds this process has known a pending operation at its present status and attempt.

        The times in the operation are no measure, because the clock of the process that wrote them may differ.
        """
        return monotonic() - self._known_since[reference_id]

    def timed_out_count(self, account: str) -> int:
        """Return how many of the account's operations have timed out, and are still without an acknowledgement."""
        return len(self._timed_out.get(account, _NONE))

    def awaits(self, account: str) -> bool:
        """Return whether the account has an operation that an acknowledgement could end."""
        return account in self._pending or account in self._timed_out

    def only_pending(self, name: Name) -> OperationView | None:
        """Return the pending operation on an outbound record, None if it has no pending operation or several."""
        references = self._by_record.get(name, _NONE)
        return self._operations[next(iter(references))] if len(references) == 1 else None

    async def list(self, chosen: Callable[[OperationView], bool], limit: int, after: str | None) -> Page:
        """Return at most `limit` operations, newest first, beginning after the operation with referenceId `after`.

        A filter may match few of many operations, so `list` lets other tasks run after every `SLICE` operations.
        """
        found: list[OperationView] = []
        for count, reference in enumerate(self._newest_first(after), 1):
            view = self._operations.get(reference)  # None: dropped while another task ran
            if view is not None and chosen(view):
                found.append(view)
                if len(found) > limit:
                    return Page(found[:limit], found[limit - 1].reference_id)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        return Page(found, None)

    async def changed(self, reference_id: str) -> None:
        """Wait for the operation's next change."""
        future = asyncio.get_running_loop().create_future()
        waiting = self._changed.setdefault(reference_id, [])
        waiting.append(future)
        try:
            await future
        finally:
            if not future.done() or future.cancelled():
                waiting.remove(future)
                if not waiting and self._changed.get(reference_id) is waiting:
                    del self._changed[reference_id]

    def sort(self) -> None:
        """Sort the operations by the time of their REST call. Called when the ledger has been read."""
        self.loading = False
        self._in_order()
        self.evict()

    def evict(self) -> None:
        """Drop operations beyond the limits: first untrusted pending operations, then ended operations.

        While the ledger is being read, the limits are a quarter higher, so that sorting is rarely needed.
        """
        share = 1.25 if self.loading else 1.0
        if self.loading:
            if not self._beyond(share):
                return
            self._in_order()
        while self._for_show and self._beyond(1.0):
            self._forget(self._operations[next(iter(self._for_show))])
        oldest = self._oldest()
        while self._ended:
            view = self._operations[next(iter(self._ended))]
            if not self._beyond(1.0) and (self.loading or view.received_at >= oldest):
                return
            self._forget(view)

    def _beyond(self, share: float) -> bool:
        return len(self._operations) > self._limit * share or self._bytes > self._most_bytes * share

    def _in_order(self) -> None:
        self._operations = dict(sorted(self._operations.items(), key=lambda item: item[1].received_at))
        self._ended = {reference: None for reference in self._operations if reference in self._ended}

    def _oldest(self) -> str:
        return rfc3339(max(0.0, self._clock() - self._age))

    def _newest_first(self, after: str | None) -> Iterator[str]:
        references = reversed([*self._operations])
        if after is None:
            return references
        if after not in self._operations:
            return iter(())  # `after` has been dropped meanwhile, so the next page can't be found
        return islice(dropwhile(lambda reference: reference != after, references), 1, None)

    def _put(self, before: OperationView | None, after: OperationView) -> None:
        reference = after.reference_id
        self._operations[reference] = after
        if before is not None:
            self._discount(before)
        self._count(after)
        if after.pending:
            if before is None or not before.pending:
                self._begin(after)
            if before is None or (before.status, before.attempt) != (after.status, after.attempt):
                self._known_since[reference] = monotonic()
        else:
            if before is not None and before.pending:
                self._no_longer_pending(before)
            self._ended.setdefault(reference)
            self.forwarded.pop(reference, None)
        self._tell(reference)

    def _forget(self, view: OperationView) -> None:
        reference = view.reference_id
        del self._operations[reference]
        self._discount(view)
        if view.pending:
            self._no_longer_pending(view)
        else:
            del self._ended[reference]
        self.forwarded.pop(reference, None)
        self._tell(reference)

    def _count(self, view: OperationView) -> None:
        """Add the operation to the sums, and to the timed-out operations."""
        size = self._sizes[view.reference_id] = _size(view)
        self._bytes += size
        if view.pending and view.trusted:
            self._pending_bytes += size
        if view.status == "timed-out":
            self._timed_out.setdefault(view.account, {})[view.reference_id] = None

    def _discount(self, view: OperationView) -> None:
        """Undo `_count`."""
        size = self._sizes.pop(view.reference_id)
        self._bytes -= size
        if view.pending and view.trusted:
            self._pending_bytes -= size
        if view.status == "timed-out":
            _remove(self._timed_out, view.account, view.reference_id)

    def _begin(self, view: OperationView) -> None:
        """Add the operation to the pending ones."""
        reference = view.reference_id
        self._ended.pop(reference, None)
        if not view.trusted:
            self._for_show[reference] = None
        self._pending.setdefault(view.account, {})[reference] = None
        names = self._named[reference] = [*_names(view)]
        for name in names:
            self._by_record.setdefault(name, {})[reference] = None

    def _no_longer_pending(self, view: OperationView) -> None:
        """Undo `_begin`, except in `_ended`."""
        reference = view.reference_id
        del self._known_since[reference]
        self._for_show.pop(reference, None)
        _remove(self._pending, view.account, reference)
        for name in self._named.pop(reference):
            _remove(self._by_record, name, reference)

    def _tell(self, reference_id: str) -> None:
        for future in self._changed.pop(reference_id, ()):
            if not future.done():
                future.set_result(None)


def _remove(index: dict[Key, dict[str, None]], key: Key, reference: str) -> None:
    """Remove a referenceId from an index."""
    references = index[key]
    del references[reference]
    if not references:
        del index[key]


def _names(view: OperationView) -> Iterator[Name]:
    if not view.trusted:  # a forged operation must not prevent the match of a genuine one
        return
    record = record_name(view.request_json)
    for named in (view.record_handle, record.phone_number):
        if named is not None:
            yield view.account, view.operation, record.application_id, record.campaign_name, named


def _size(view: OperationView) -> int:
    """Return about how many bytes an operation takes in memory, index entries included."""
    return OVERHEAD + len(msgspec.msgpack.encode(view))
