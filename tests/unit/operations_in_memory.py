"""Operations without Kafka and without Web Services: what the REST side is tested against."""

import asyncio
from dataclasses import dataclass, field

import msgspec

from bridge.errors import Conflict, UnknownOperation
from bridge.events import Status, Upstream
from bridge.operations import (
    EVERY_OPERATION,
    Counts,
    Evidence,
    OperationFilter,
    OperationView,
    Page,
    PublishedRequest,
    Submission,
    Times,
)
from bridge.operations.recorded_request import digest
from bridge.operations.view.filters import Matcher
from bridge.operations.view.published import published_request
from bridge.privacy import Concealment

AT = "2026-01-01T12:00:00.012Z"


@dataclass
class InMemoryOperations:
    """Accepts every operation, or fails as it is told to; `acknowledge` is what CometD would bring."""

    submissions: list[tuple[Submission, bool]] = field(default_factory=list)
    """Each with whether it was asynchronous; repeated ones are not here."""
    views: dict[str, OperationView] = field(default_factory=dict)
    failure: Exception | None = None
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    privacy: Concealment | None = None
    waiting: int = 0
    """How many callers wait now."""

    def clear(self) -> None:
        self.submissions.clear()
        self.views.clear()
        self.failure = None
        self.ends = asyncio.Event()

    async def submit(self, submission: Submission) -> OperationView:
        return self._take(submission, "accepted")

    async def submit_async(self, submission: Submission) -> OperationView:
        return self._take(submission, "requested")

    async def wait(self, reference_id: str, seconds: float) -> OperationView:
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                while self.views[reference_id].pending:
                    await self.ends.wait()
                    self.ends.clear()
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1
        return self.views[reference_id]

    def get(self, reference_id: str) -> OperationView:
        if reference_id not in self.views:
            raise UnknownOperation("The bridge knows no operation of that referenceId.")
        return self.views[reference_id]

    async def list(self, chosen: OperationFilter = EVERY_OPERATION, limit: int = 100, after: str | None = None) -> Page:
        matches = Matcher(chosen, self.privacy)
        found = [one for one in reversed(self.views.values()) if matches(one)]
        start = int(after) if after is not None and after.isdecimal() else 0
        more = start + limit < len(found)
        return Page(found[start : start + limit], str(start + limit) if more else None)

    def counts(self) -> Counts:
        statuses = [one.status for one in self.views.values()]
        return Counts(sum(one.pending for one in self.views.values()), statuses.count("timed-out"))

    def published(self, view: OperationView) -> PublishedRequest:
        return published_request(view, self.privacy)

    def change(self, reference_id: str, status: Status, **changes: object) -> None:
        """Bring an operation to a status, as an event would."""
        self.views[reference_id] = msgspec.structs.replace(self.views[reference_id], status=status, **changes)
        self.ends.set()

    def acknowledge(self, reference_id: str) -> None:
        """Let the acknowledgement of an operation come."""
        evidence = Evidence(
            id="5f1d7a84db00d2fc-17", key="134/Campaign1/13", topic="gws.acknowledgements.v1", partition=3
        )
        self.change(reference_id, "acknowledged", acknowledgement=evidence, upstream=Upstream(200, 0, None))

    def _take(self, submission: Submission, status: Status) -> OperationView:
        if self.failure is not None:
            raise self.failure
        request = submission.request
        assert request.reference_id is not None
        known = self.views.get(request.reference_id)
        if known is not None:
            if known.request != request.body():
                raise Conflict("The referenceId belongs to another request.")
            return known
        self.submissions.append((submission, status == "requested"))
        view = self.views[request.reference_id] = OperationView(
            reference_id=request.reference_id,
            operation=request.operation_name,
            status=status,
            account=submission.account or "first",
            received_at=AT,
            requested_by=submission.requested_by,
            record_handle=submission.record_handle,
            request_json=(body := msgspec.json.encode(request.body())),
            request_digest=digest(body),
            asynchronous=status == "requested",
            times=Times(requested=AT),
            upstream=Upstream(200, 0, None) if status == "accepted" else None,
        )
        return view
