"""Routes that skip FastAPI: the access check holds, and FastAPI makes the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from fastapi import APIRouter, FastAPI, Request, Response

from bridge.http.auth.authentication import WRITE, Caller, InvalidToken
from bridge.http.auth.request_shares import RequestShares
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import Refused, problem
from bridge.http.reading.direct_route import DirectRoute
from tests.unit.served import served

if TYPE_CHECKING:
    from collections.abc import Mapping


class OneToken:
    """Knows the token `good`."""

    def __init__(self) -> None:
        self.scheme: dict[str, Any] | None = {"type": "http", "scheme": "bearer"}

    async def caller(self, token: str) -> Caller:
        if token != "good":
            raise InvalidToken
        return Caller("crm", frozenset({WRITE}))


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, error.code, str(error))


def app(places: int = 8) -> FastAPI:
    """Return an application whose only route answers with its caller and its number."""
    guard = guarded(OneToken(), WRITE)

    def read(path: Mapping[str, str]) -> dict[str, int] | None:
        return {"number": int(path["number"])} if path["number"].isdigit() else None

    router = APIRouter(dependencies=guard.dependencies)

    @router.get("/{number}")
    async def one(http: Request, number: int) -> Response:
        return Response(f"{http.state.caller.name} {number}")

    made = FastAPI()
    made.state.shares = RequestShares(places)
    made.add_exception_handler(Refused, refused)
    made.routes.append(DirectRoute("/{number}", "GET", guard, one, read))
    made.include_router(router)
    return made


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        ("/7", "good", (200, "crm 7")),
        ("/-7", "good", (200, "crm -7")),
        ("/7", "bad", (401, None)),
        ("/-7", "bad", (401, None)),
        ("/x", "bad", (401, None)),
        ("/x", "good", (422, None)),
    ],
)
async def test_both_ways_check_the_caller(path: str, token: str, expected: tuple[int, str | None]) -> None:
    """The endpoint gets the same caller on both ways, and nobody passes without a token."""
    async with (
        served(app()) as url,
        aiohttp.ClientSession() as client,
        client.get(f"{url}{path}", headers={"Authorization": f"Bearer {token}"}) as reply,
    ):
        text = await reply.text()
    assert (reply.status, text if expected[1] else None) == expected


@pytest.mark.parametrize("path", ["/7", "/-7"])
async def test_both_ways_hold_a_place(path: str) -> None:
    """A caller that has no place left is refused on both ways."""
    async with (
        served(app(places=0)) as url,
        aiohttp.ClientSession() as client,
        client.get(f"{url}{path}", headers={"Authorization": "Bearer good"}) as reply,
    ):
        assert reply.status == 429
