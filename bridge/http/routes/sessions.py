"""GET /sessions: the state of each CometD session of this replica, or of the whole fleet, for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence  # noqa: TC003 -- FastAPI reads the annotations
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bridge.http.auth.authentication import READ, Authentication
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented
from bridge.http.routes.operations import check_query

Guarantee: TypeAlias = Literal["exactly-once", "at-least-once", "at-most-once"]
Scope: TypeAlias = Literal["replica", "fleet"]


class SessionView(BaseModel):
    """The state of one account's CometD session."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    account: str
    replica: Annotated[
        str | None,
        Field(
            description="The replica that relays the account, by the newest assignment of the fleet's group; null if "
            "no replica does. Without a fleet, the name of this bridge."
        ),
    ] = None
    as_of: Annotated[
        datetime | None,
        Field(
            description="The time for which the other members are true. For a session of the replica that answers, "
            "this is the time of the request. For a session of another replica, this is the time of its last position "
            "in Kafka, from which the other members come; null if Kafka has no position with a session."
        ),
    ] = None
    session: Annotated[
        str | None, Field(description="Hash of account and clientId. The `ce_id` of each event begins with it.")
    ]
    state: Annotated[
        str,
        Field(
            description="For example connected, opening or holding. For a session of another replica: connected (at "
            "`asOf`), or unknown if Kafka has no position with a session."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why the session is in that state.")] = None
    ack_extension: Annotated[
        bool | None,
        Field(description="Whether the server uses CometD's acknowledgement extension. null before the handshake."),
    ]
    guarantee: Annotated[
        Guarantee | None,
        Field(description="The delivery guarantee for Kafka's consumers, with this server and these settings."),
    ]
    last_reply_at: Annotated[datetime | None, Field(description="When the server last replied.")] = None
    subscriptions_refused: Annotated[
        list[str], Field(description="Channels whose subscription the server refused.")
    ] = Field(default_factory=list)
    watchdog: Annotated[
        str | None,
        Field(
            description="The watchdog's last action (probe, repoll or new-session) while the session seems to deliver "
            "nothing. null if all is well."
        ),
    ] = None
    held_events: Annotated[
        int | None,
        Field(ge=0, description="Number of events that wait for Kafka. null for a session of another replica."),
    ] = 0
    held_since: Annotated[datetime | None, Field(description="Since when events wait for Kafka.")] = None


def sessions(
    views: Callable[[], Sequence[SessionView]],
    fleet_views: Callable[[], Awaitable[Sequence[SessionView]]],
    authentication: Authentication,
) -> APIRouter:
    """Make the router for callers with the scope operations:read.

    `views` returns this replica's sessions, and must not block. `fleet_views` returns the sessions of all replicas.
    """
    guard = guarded(authentication, READ)
    responses = documented(*guard.problems, "invalid-request", "kafka-unavailable")
    router = APIRouter(tags=["Sessions"], dependencies=guard.dependencies, responses=responses)

    @router.get("/sessions", operation_id="getSessions", summary="List the CometD sessions")
    async def get(
        http: Request,
        scope: Annotated[
            Scope,
            Query(
                description="`replica`: the sessions of the replica that answers. `fleet`: the sessions of all "
                "replicas. This replica reads those of other replicas from the positions in "
                "Kafka. Without a fleet, both are the same."
            ),
        ] = "replica",
    ) -> list[SessionView]:
        check_query(http, ["scope"])
        return list(views() if scope == "replica" else await fleet_views())

    return router
