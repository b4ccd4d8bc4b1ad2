"""The pages that show the state of the bridge: overview, gaps and dead letters, sessions and fleet."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.errors import LedgerUnread
from bridge.http.auth.authentication import PERSONAL, READ
from bridge.http.console.personal import ShownRequest, shown
from bridge.http.console.rendering import REFRESH
from bridge.observability import INTERVAL, INTERVALS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import Response

    from bridge.http.console.pages import Pages, Visit
    from bridge.http.routes.health import Missing
    from bridge.http.routes.sessions import SessionView
    from bridge.observability import Interval
    from bridge.operations import Counts, OperationView

WIDTH: Final = 240
HEIGHT: Final = 48
_STEP: Final = WIDTH / INTERVALS
_GAP: Final = 1.0
HELD_TOO_LONG: Final = 5.0
"""Seconds after which a wait for Kafka is shown. The events of every reply wait for some milliseconds."""
LATEST: Final = 8
"""Operations on the overview."""
NAMED: Final = 3
"""Maximum number of accounts that the page names for one trouble."""
_TROUBLES: Final = {
    "kafka": (
        "Kafka",
        """The bridge can't write to Kafka, so no event reaches its consumers. Events wait in the CometD server's queue.
        Check Kafka and the network. Do not restart the bridge now, because the queue would be lost.""",
    ),
    "login": (
        "Login at Web Services",
        """No event arrives, and operations are refused. Check the account's user name and password in the settings, and
        whether the account is locked. The bridge keeps trying.""",
    ),
    "cometd": (
        "CometD session",
        """No acknowledgement arrives. The bridge keeps trying. Check whether Web Services answers, and whether
        the proxy or load balancer in front of it works.""",
    ),
    "subscription": (
        "Subscription",
        "The events of this channel do not arrive. Check the rights of the account at Web Services.",
    ),
    "fleet": (
        "Fleet",
        "This replica can't join the fleet. Check Kafka, and the Read right on the consumer group of the fleet.",
    ),
    "schema-registry": (
        "Schema registry",
        "The bridge starts no account before the schema registry answers. Check the registry and its address.",
    ),
}
"""For each name in readiness: the name for people, the meaning of the trouble, and the remedy."""


def add_state(pages: Pages) -> None:
    """Add the pages."""
    sources, own = pages.sources, pages.sources.own

    def counts() -> Counts | None:
        try:
            return sources.service.counts()
        except LedgerUnread:
            return None

    async def latest(visit: Visit) -> list[tuple[OperationView, ShownRequest]] | None:
        """Return the newest operations, or None while the bridge still reads them from Kafka."""
        try:
            page = await sources.service.list(limit=LATEST)
        except LedgerUnread:
            return None
        plain = visit.may(PERSONAL)
        return [(one, shown(one, sources.service.published(one), plain=plain)) for one in page.operations]

    async def overview(visit: Visit) -> Response:
        sessions, missing = sources.session_views(), sources.readiness()
        drawn = charts(own.rates())
        return pages.render(
            visit,
            "overview.html",
            interval=REFRESH,
            troubles=troubles(missing),
            sessions=sessions,
            states=states(sessions, missing),
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
        missing = sources.readiness()
        return pages.render(
            visit,
            "sessions.html",
            interval=REFRESH,
            sessions=[(one, session_colour(one, missing)) for one in sources.session_views()],
            fleet=sources.fleet_view(),
            in_fleet=own.in_fleet,
            troubles=troubles(missing),
        )

    pages.add("GET", "", overview, READ)
    pages.add("GET", "/incidents", incidents, READ)
    pages.add("GET", "/sessions", sessions, READ)


class Trouble(NamedTuple):
    """A reason why the bridge is not ready."""

    name: str
    """The name in readiness, such as `kafka`."""
    title: str
    reason: str
    meaning: str
    """The meaning of the trouble, and the remedy. Empty if the console does not know the name."""
    accounts: Sequence[str]
    """The accounts that the trouble concerns. Empty if it concerns the whole bridge."""

    @property
    def concerned(self) -> str:
        """The accounts in words."""
        if len(self.accounts) < 2:
            return "".join(f" (account {one})" for one in self.accounts)
        named = ", ".join(self.accounts[:NAMED]) + (", …" if len(self.accounts) > NAMED else "")
        return f" ({len(self.accounts)} accounts: {named})"


def troubles(missing: Sequence[Missing]) -> list[Trouble]:
    """Return each reason why the bridge is not ready, once, with all its accounts.

    An account without a login has no CometD session either. Then only the login is returned for the account.
    """
    without_login = {one.account for one in missing if one.name == "login"}
    found: dict[tuple[str, str], list[str]] = {}
    for one in missing:
        if one.name != "cometd" or one.account not in without_login:
            accounts = found.setdefault((one.name, one.reason), [])
            if one.account is not None:
                accounts.append(one.account)
    return [
        Trouble(name, title, reason, meaning, accounts)
        for (name, reason), accounts in found.items()
        for title, meaning in [_TROUBLES.get(name, (name, ""))]
    ]


class SessionCount(NamedTuple):
    """A number of sessions with the same state and colour."""

    state: str
    colour: str
    sessions: int


def states(sessions: Sequence[SessionView], missing: Sequence[Missing]) -> list[SessionCount]:
    """Return the number of sessions in each state."""
    found = Counter((_state(one), session_colour(one, missing)) for one in sessions)
    return [SessionCount(state, tint, count) for (state, tint), count in sorted(found.items())]


def session_colour(session: SessionView, missing: Sequence[Missing]) -> str:
    """Return the colour of a session's state.

    The colour of a disconnected session is `bad` if its account is a reason why the bridge is not ready. Otherwise it
    is `waiting`, for example while the session is being opened.
    """
    if _state(session) == "connected":
        return "good"
    return "bad" if any(one.account == session.account for one in missing) else "waiting"


def _state(session: SessionView) -> str:
    """Return the state of a session.

    A session that has held events for a short time counts as connected, because its events are on their way to Kafka.
    """
    since = session.held_since
    brief = since is None or (datetime.now(UTC) - since).total_seconds() < HELD_TOO_LONG
    return "connected" if session.state == "holding" and brief else session.state


class Bar(NamedTuple):
    """A bar of a chart, in the units of its SVG view box."""

    x: float
    y: float
    width: float
    height: float


class Chart(NamedTuple):
    """A chart of the last minutes, the newest interval at the right edge."""

    title: str
    explanation: str
    total: int
    """The sum of the intervals."""
    rate: float
    """The rate of the newest interval, for each second."""
    peak: float
    """The highest rate, for each second."""
    bars: Sequence[Bar]
    troubled: bool
    """Whether the chart counts faults, and at least one occurred."""


def charts(intervals: Sequence[Interval]) -> list[Chart]:
    """Return the charts of the overview."""
    return [
        _chart(intervals, "Operations", "accepted by Web Services", lambda one: one.counts.operations),
        _chart(intervals, "Acknowledgements", "received over CometD", lambda one: one.counts.acknowledgements),
        _chart(intervals, "Records", "written to Kafka by the relays", lambda one: one.counts.published),
        _chart(
            intervals,
            "Failures",
            "rejected, undelivered or timed out",
            lambda one: one.counts.failed,
            bad=True,
        ),
    ]


def _chart(
    intervals: Sequence[Interval],
    title: str,
    explanation: str,
    value: Callable[[Interval], float],
    *,
    bad: bool = False,
) -> Chart:
    values = [value(one) for one in intervals][-INTERVALS:]
    most = max(values, default=0.0)
    start = WIDTH - _STEP * len(values)
    bars = [
        Bar(round(start + _STEP * place, 2), round(HEIGHT - height, 2), _STEP - _GAP, round(height, 2))
        for place, one in enumerate(values)
        if one and (height := max(2.0, HEIGHT * one / most))
    ]
    newest = values[-1] / INTERVAL if values else 0.0
    total = round(sum(values))
    return Chart(title, explanation, total, newest, most / INTERVAL, bars, troubled=bad and total > 0)
