"""Each CometD session, for the people on call."""

from __future__ import annotations

from collections.abc import Callable, Sequence  # noqa: TC003 -- FastAPI reads the annotations
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bridge.http.auth.authentication import READ, Authentication
from bridge.http.auth.guarded import guarded
from bridge.http.problems.problems import documented

Guarantee: TypeAlias = Literal["exactly-once", "at-least-once", "at-most-once"]


class SessionView(BaseModel):
    """One account's CometD session."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    account: str
    session: Annotated[str | None, Field(description="Hash of account and clientId, as in the ids of its events.")]
    state: Annotated[str, Field(description="connected, opening, holding...")]
    reason: Annotated[str | None, Field(description="Why it is in that state.")] = None
    ack_extension: Annotated[
        bool | None, Field(description="Whether the server acknowledges; null before it was asked.")
    ]
    guarantee: Annotated[
        Guarantee | None,
        Field(description="What Kafka's consumers get, with this server and these settings."),
    ]
    last_reply_at: datetime | None = None
    subscriptions_refused: list[str] = Field(default_factory=list)
    watchdog: Annotated[
        str | None,
        Field(description="What was last done about a silence that no error tells of; null when all is well."),
    ] = None
    held_events: Annotated[int, Field(ge=0, description="Events that wait for Kafka.")] = 0
    held_since: datetime | None = None


def sessions(views: Callable[[], Sequence[SessionView]], authentication: Authentication) -> APIRouter:
    """Make the router; `views` tells the sessions, and must not wait."""
    guard = guarded(authentication, READ)
    router = APIRouter(tags=["Sessions"], dependencies=guard.dependencies, responses=documented(*guard.problems))

    @router.get("/sessions", operation_id="getSessions", summary="Each CometD session")
    async def get() -> list[SessionView]:
        return list(views())

    return router
