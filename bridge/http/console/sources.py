"""The sources of the content that the console's pages show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bridge.http.auth.authentication import Authentication
    from bridge.http.routes.fleet import FleetView
    from bridge.http.routes.health import Missing
    from bridge.http.routes.operations import Operations
    from bridge.http.routes.sessions import SessionView
    from bridge.observability import Interval


@dataclass(frozen=True, slots=True)
class Gap:
    """A period in which events of an account may have been lost. Times are in RFC 3339, None if unknown."""

    account: str
    session: str
    previous_session: str | None
    start: str | None
    end: str | None
    reason: str | None
    at: str
    """When the bridge noticed the gap."""


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that Kafka refused, so that the bridge wrote a dead letter. The record's content is not included."""

    account: str | None
    reason: str
    topic: str
    """The topic of the refused record, without the prefix."""
    size: int
    event_type: str | None
    event_id: str | None
    at: str
    partition: int
    """The partition of the dead letter. `offset` is its place in this partition."""
    offset: int


class IncidentsView(NamedTuple):
    """The gaps and dead letters of the last day, the newest first."""

    since: str = ""
    """The beginning of the period whose gaps and dead letters are known, in RFC 3339."""
    reading: bool = False
    """Whether the topics are still being read."""
    failing: str | None = None
    """Why a topic can't be read now."""
    gaps: Sequence[Gap] = ()
    refused: Sequence[RefusedRecord] = ()
    most: int = 0
    """Maximum number of gaps, and of dead letters, that the bridge keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSources:
    """Functions of the bridge's other parts that only the console uses. No function may block."""

    accounts: Callable[[], Sequence[str]]
    """Returns the accounts that operations may be submitted for. The first one is the default."""
    incidents: Callable[[], IncidentsView] = IncidentsView
    rates: Callable[[], Sequence[Interval]] = tuple
    """Returns the counts of the last intervals, the oldest first."""
    replica: str = "bridge"
    """The name of this process in the fleet."""
    in_fleet: bool = False
    acknowledgement_timeout: float = 30.0
    """Seconds after which an operation without an acknowledgement is `timed-out`."""
    secret: str | None = None
    """The key of the cookies, None for a random one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All sources of the pages. Only the console uses `own`; the REST API uses the others too (see `create_app`)."""

    own: ConsoleSources
    service: Operations
    authentication: Authentication
    readiness: Callable[[], Sequence[Missing]]
    session_views: Callable[[], Sequence[SessionView]]
    fleet_view: Callable[[], FleetView]
    enabled: Collection[str]
