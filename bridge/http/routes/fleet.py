"""Which replica relays which account."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 -- FastAPI reads the annotations
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from bridge.http.auth.authentication import READ, Authentication
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented


class ReplicaView(BaseModel):
    """One replica."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(description="BRIDGE_FLEET__REPLICA, by default its host name.")]
    slots: Annotated[list[int], Field(description="The slots that it owns.")]
    accounts: Annotated[list[str], Field(description="The accounts that it relays: those of its slots.")]
    since: Annotated[datetime, Field(description="When the replica started.")]


class SlotView(BaseModel):
    """One slot: a partition of the topic `bridge-state`."""

    model_config = ConfigDict(frozen=True)

    slot: int
    replica: Annotated[str | None, Field(description="The replica that owns it; null where none does.")]
    accounts: Annotated[list[str], Field(description="The accounts whose names hash to it.")]


class FleetView(BaseModel):
    """The fleet, as the newest assignment of its group says; without a fleet, this bridge alone."""

    model_config = ConfigDict(frozen=True)

    replicas: list[ReplicaView] = Field(default_factory=list)
    slots: list[SlotView] = Field(default_factory=list)


def fleet(view: Callable[[], FleetView], authentication: Authentication) -> APIRouter:
    """Make the router; `view` tells the fleet, and must not wait."""
    guard = guarded(authentication, READ)
    router = APIRouter(tags=["Sessions"], dependencies=guard.dependencies, responses=documented(*guard.problems))

    @router.get("/fleet", operation_id="getFleet", summary="Which replica relays which account")
    async def get() -> FleetView:
        return view()

    return router
