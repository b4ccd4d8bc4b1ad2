"""The pages that show the state of the bridge: overview, gaps and dead letters, sessions and fleet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bridge.errors import LedgerUnread
from bridge.http.auth.authentication import PERSONAL, READ
from bridge.http.console.charts import charts
from bridge.http.console.personal import ShownRequest, shown
from bridge.http.console.rendering import REFRESH

if TYPE_CHECKING:
    from fastapi import Response

    from bridge.http.console.pages import Pages, Visit
    from bridge.operations import Counts, OperationView

LATEST: Final = 8
"""Operations on the overview."""


def add_state(pages: Pages) -> None:
    """Add the pages."""
    sources, own = pages.sources, pages.sources.own

    def counts() -> Counts | None:
        try:
            return sources.service.counts()
        except LedgerUnread:
            return None

    async def latest(visit: Visit) -> list[tuple[OperationView, ShownRequest]] | None:
        """Return the newest operations, None while they are being read from Kafka."""
        try:
            page = await sources.service.list(limit=LATEST)
        except LedgerUnread:
            return None
        plain = visit.may(PERSONAL)
        return [(one, shown(one, sources.service.published(one), plain=plain)) for one in page.operations]

    async def overview(visit: Visit) -> Response:
        sessions = sources.session_views()
        drawn = charts(own.rates())
        return pages.render(
            visit,
            "overview.html",
            interval=REFRESH,
            missing=sources.readiness(),
            sessions=sessions,
            states=sorted(Counter(one.state for one in sessions).items()),
            unsafe=[one.account for one in sessions if one.ack_extension is False],
            accounts=len(own.accounts()),
            counts=counts(),
            charts=drawn,
            acknowledged=drawn[1].total,
            incidents=own.incidents(),
            fleet=sources.fleet_view(),
            in_fleet=own.in_fleet,
            latest=await latest(visit),
            timeout=own.acknowledgement_timeout,
        )

    async def incidents(visit: Visit) -> Response:
        return pages.render(visit, "incidents.html", interval=REFRESH, incidents=own.incidents())

    async def sessions(visit: Visit) -> Response:
        return pages.render(
            visit,
            "sessions.html",
            interval=REFRESH,
            sessions=sources.session_views(),
            fleet=sources.fleet_view(),
            in_fleet=own.in_fleet,
            missing=sources.readiness(),
        )

    pages.add("GET", "", overview, READ)
    pages.add("GET", "/incidents", incidents, READ)
    pages.add("GET", "/sessions", sessions, READ)
