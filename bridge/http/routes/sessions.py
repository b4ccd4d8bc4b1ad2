"""GET /sessions: the state of each CometD session, for operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence  # noqa: TC003 -- FastAPI reads the annotations
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bridge.http.auth.authentication import READ, Authentication
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented

Guarantee: TypeAlias = Literal["exactly-once", "at-least-once", "at-most-once"]


class SessionView(BaseModel):
    """The state of one account's CometD session."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    account: str
    session: Annotated[
        str | None, Field(description="Hash of account and clientId. The `ce_id` of each event begins with it.")
    ]
    state: Annotated[str, Field(description="For example connected, opening or holding.")]
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
    held_events: Annotated[int, Field(ge=0, description="Number of events that wait for Kafka.")] = 0
    held_since: Annotated[datetime | None, Field(description="Since when events wait for Kafka.")] = None


def sessions(views: Callable[[], Sequence[SessionView]], authentication: Authentication) -> APIRouter:
    """Make the router for callers with the scope operations:read. `views` returns the sessions, and must not block."""
    guard = guarded(authentication, READ)
    router = APIRouter(tags=["Sessions"], dependencies=guard.dependencies, responses=documented(*guard.problems))

    @router.get("/sessions", operation_id="getSessions", summary="List the CometD sessions")
    async def get() -> list[SessionView]:
        return list(views())

    return router
