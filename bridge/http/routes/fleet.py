"""GET /fleet: the replicas of the fleet, and the slots and accounts of each replica."""

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
    """A replica of the bridge, with its slots and accounts."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(description="Name of the replica: BRIDGE_FLEET__REPLICA, by default the host name.")]
    slots: Annotated[list[int], Field(description="The slots that the replica owns.")]
    accounts: Annotated[list[str], Field(description="The accounts of these slots. The replica relays them.")]
    since: Annotated[datetime, Field(description="When the replica started.")]


class SlotView(BaseModel):
    """A slot: a partition of the position topic `bridge-state`, with the accounts that hash to it."""

    model_config = ConfigDict(frozen=True)

    slot: int
    replica: Annotated[
        str | None, Field(description="The replica that owns the slot, or null if the slot has no owner.")
    ]
    accounts: Annotated[list[str], Field(description="The accounts whose names hash to the slot.")]


class FleetView(BaseModel):
    """The fleet after the newest assignment of its consumer group. Without a fleet, the only replica is this bridge."""

    model_config = ConfigDict(frozen=True)

    replicas: list[ReplicaView] = Field(default_factory=list)
    slots: list[SlotView] = Field(default_factory=list)


def fleet(view: Callable[[], FleetView], authentication: Authentication) -> APIRouter:
    """Make the router. `view` returns the current fleet, and must not block."""
    guard = guarded(authentication, READ)
    router = APIRouter(tags=["Sessions"], dependencies=guard.dependencies, responses=documented(*guard.problems))

    @router.get("/fleet", operation_id="getFleet", summary="Which replica relays which account")
    async def get() -> FleetView:
        return view()

    return router
