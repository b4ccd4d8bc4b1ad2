"""The pages about operations: the list with its filters, and one operation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, get_args
from urllib.parse import quote, urlencode

import structlog

from bridge.errors import NumberSearchImpossible
from bridge.http.auth.authentication import PERSONAL, READ, WRITE
from bridge.http.console.evidence import EvidenceDownload
from bridge.http.console.pages import see_other
from bridge.http.console.personal import shown
from bridge.http.console.rendering import REFRESH
from bridge.http.console.visits import PATH
from bridge.http.routes.operations import FILTERS, LONGEST_CURSOR, LONGEST_FILTER
from bridge.http.routes.replies import OperationStatus
from bridge.operations import OperationFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Response

    from bridge.http.console.pages import Pages, Visit
    from bridge.operations import OperationView

SEARCH_REFRESH: Final = 10
"""Seconds between two refreshes of a search for a number or a record, which costs more than other searches."""
PAGE: Final = 50
"""Operations on one page."""
STATUSES: Final = get_args(OperationStatus)
PENDING: Final = "pending"
"""The filter's value for all operations that have not ended. No operation has this status."""
SEALED: Final = "sealed"
"""The query parameter with the encrypted filters."""
_HIDDEN: Final[tuple[str, ...]] = ("phone", "record")
"""The filters that may contain a phone number. A record key ends with the number if the record has no handle."""
_LIST: Final = f"{PATH}/operations"
_TEXTS: Final = ("account", "reference", "phone", "record")
_TIMES: Final = ("since", "until")
_MEANINGS: Final = {
    "requested": "The bridge received the request.",
    "accepted": "Web Services accepted the operation. Accepted does not mean done.",
    "rejected": "Web Services refused the operation. Its reply has the reason.",
    "timed-out": "No acknowledgement came in time.",
    "acknowledged": "The acknowledgement came over CometD.",
}
_UNREACHED: Final = "Web Services could not be reached."
"""The meaning of `rejected` if there is no reply of Web Services."""
log = structlog.get_logger(__name__)


def add_operations(pages: Pages) -> None:
    """Add the pages."""
    subject = _OperationPages(pages)
    pages.add("GET", "/operations", subject.several, READ)
    pages.add("POST", "/operations", subject.search, READ)
    pages.add("POST", "/reveal", subject.reveal, READ)
    pages.add("GET", "/evidence/{reference:path}", subject.evidence, READ)
    pages.add("GET", "/operations/{reference:path}", subject.one, READ)


class _OperationPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._service = pages.sources.service

    async def search(self, visit: Visit) -> Response:
        """Handle the form with the filters. The URL contains fields that may have a phone number only encrypted."""
        filters = {name: value for name in FILTERS if (value := visit.form.get(name, "").strip())}
        hidden = {name: filters.pop(name)[: LONGEST_FILTER + 1] for name in _HIDDEN if name in filters}
        if hidden:
            filters[SEALED] = self._pages.visits.hide(visit.visitor, hidden)
        return see_other(f"{_LIST}?{urlencode(filters)}" if filters else _LIST)

    async def several(self, visit: Visit) -> Response:
        query = visit.request.query_params
        filters = {name: query.get(name, "") for name in FILTERS if name not in _HIDDEN} | dict.fromkeys(_HIDDEN, "")
        faults = []
        if SEALED in query:
            hidden = self._pages.visits.shown(visit.visitor, query[SEALED])
            if hidden is None:
                faults.append("This search has expired, or belongs to another visitor. Enter the filters again.")
            filters |= hidden or {}
        chosen = _filter(filters, faults)
        after = query.get("after")
        found: list[OperationView] = []
        following = None
        if not faults:
            try:
                page = await self._service.list(chosen, PAGE, None if after is None else after[:LONGEST_CURSOR])
                found, following = page.operations, page.next
            except NumberSearchImpossible as error:
                faults.append(str(error))
        kept = {name: value for name, value in query.items() if name in {*FILTERS, SEALED} and value}
        plain = visit.may(PERSONAL)
        return self._pages.render(
            visit,
            "operations.html",
            422 if faults else 200,
            interval=None if faults else SEARCH_REFRESH if SEALED in query else REFRESH,
            rows=[(one, shown(one, self._service.published(one), plain=plain)) for one in found],
            timeout=self._pages.sources.own.acknowledgement_timeout,
            filters=filters,
            filtered=bool(kept),
            faults=faults,
            statuses=(PENDING, *STATUSES),
            accounts=self._pages.sources.own.accounts(),
            first=_LIST + (f"?{urlencode(kept)}" if kept else ""),
            after=after,
            following=None if following is None else f"{_LIST}?{urlencode(kept | {'after': following})}",
        )

    def _page(self, visit: Visit, view: OperationView, *, plain: bool) -> Response:
        sent = visit.request.query_params.get("sent")
        return self._pages.render(
            visit,
            "operation.html",
            interval=None if plain else REFRESH,
            view=view,
            steps=_steps(view),
            request=shown(view, self._service.published(view), plain=plain or visit.may(PERSONAL)),
            revealed=plain,
            sent=sent,
            may_submit=visit.may(WRITE) and view.operation in self._pages.sources.enabled,
            evidence=f"{PATH}/evidence/{quote(view.reference_id, safe='')}",
            timeout=self._pages.sources.own.acknowledgement_timeout,
        )

    async def one(self, visit: Visit) -> Response:
        return self._page(visit, self._service.get(visit.request.path_params["reference"]), plain=False)

    async def reveal(self, visit: Visit) -> Response:
        """Show the phone numbers of one operation to a visitor who has asked for them."""
        view = self._service.get(visit.form.get("reference", ""))
        log.info("console-numbers-shown", caller=visit.caller.name, reference_id=view.reference_id)
        return self._page(visit, view, plain=True)

    async def evidence(self, visit: Visit) -> Response:
        reference = visit.request.path_params["reference"]
        log.info("console-evidence-downloaded", caller=visit.caller.name, reference_id=reference)
        return EvidenceDownload(reference, visit.visitor.token)


class Step(NamedTuple):
    """A status that the operation reached."""

    status: str
    at: str
    milliseconds: float
    """The time since the REST call."""
    meaning: str


def _steps(view: OperationView) -> list[Step]:
    """Return the statuses that the operation has had, the oldest first."""
    times = [(at, status) for status in STATUSES if (at := getattr(view.times, status.replace("-", "_"))) is not None]
    start = _seconds(view.received_at)
    meanings = _MEANINGS if view.upstream is not None else {**_MEANINGS, "rejected": _UNREACHED}
    return [Step(status, at, max(0.0, _seconds(at) - start) * 1000, meanings[status]) for at, status in sorted(times)]


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _filter(filters: Mapping[str, str], faults: list[str]) -> OperationFilter:
    """Return the filter that the fields describe. Add the faults of the fields to `faults`."""
    status = filters["status"]
    if status and status not in {PENDING, *STATUSES}:
        faults.append(f"There is no such status. The statuses are {', '.join((PENDING, *STATUSES))}.")
    faults += [f"The filter {name} is too long." for name in _TEXTS if len(filters[name]) > LONGEST_FILTER]
    times = {name: _time(filters[name]) for name in _TIMES}
    faults += [
        f"The filter {name} needs a date and a time, such as 2026-01-01T12:00."
        for name in _TIMES
        if filters[name] and times[name] is None
    ]
    if faults:
        return OperationFilter()
    texts = {name: filters[name] or None for name in _TEXTS}
    if status == PENDING:
        return OperationFilter(pending=True, **texts, **times)  # type: ignore[arg-type]
    return OperationFilter(status=status or None, **texts, **times)  # type: ignore[arg-type]


def _time(text: str) -> datetime | None:
    """Return a time. Browsers send times without a zone, which count as UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
