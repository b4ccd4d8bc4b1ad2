"""One caller's requests never take the places of all callers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

import pytest

from bridge.errors import UpstreamTimeout
from bridge.http import app as rest_app
from bridge.http import authentication_of
from bridge.http.auth.request_shares import RequestShares
from bridge.http.problems.problems import Refused
from bridge.settings import Authentication
from tests.unit.api import BARE, rest_side
from tests.unit.held import held
from tests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path


def fill(shares: RequestShares, caller: str, stack: contextlib.ExitStack) -> int:
    """Take as many places as the caller gets."""
    taken = 0
    with contextlib.suppress(Refused):
        while True:
            stack.enter_context(shares.place(caller))
            taken += 1
    return taken


def test_there_is_always_a_place_for_another_caller() -> None:
    """A caller alone gets half of the places, each further one half of the rest, and what ends gives its place back."""
    shares = RequestShares(1024)
    with contextlib.ExitStack() as stack:
        assert [fill(shares, str(caller), stack) for caller in range(6)] == [512, 256, 128, 64, 32, 16]
        with contextlib.ExitStack() as inner:
            assert fill(shares, "another", inner) == 8
    with contextlib.ExitStack() as stack:
        assert fill(shares, "0", stack) == 512
    assert held(shares) == held(RequestShares(1024))


def test_failed_requests_give_their_place_back() -> None:
    """A request that fails, or is cancelled, holds no place afterwards."""
    shares = RequestShares(2)
    for error in (ValueError, asyncio.CancelledError, Refused):
        with pytest.raises(BaseException), shares.place("x"):  # noqa: B017, PT011 -- any kind must do
            raise error(*((503, "x", "x") if error is Refused else ()))
    with shares.place("x"):
        pass


async def test_waits_of_one_token_leave_room_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller whose waiting requests fill its share gets 429 with Retry-After, and another one is served."""
    monkeypatch.setattr(rest_app, "MOST_CONNECTIONS", 8)
    path = tmp_path / "tokens"
    path.write_text("".join(f"{name}:{hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("greedy", "modest")))
    authentication = authentication_of(Authentication(method="tokens", tokens_file=path))
    async with rest_side(authentication=authentication) as api:
        greedy, modest = ({"Authorization": f"Bearer {name}"} for name in ("greedy", "modest"))
        waits = [asyncio.create_task(api.post(BARE, Prefer="wait=60", **greedy)) for _ in range(4)]
        await eventually(lambda: len(api.operations.submissions) == 4)
        answer = await api.post(BARE, **greedy)
        assert (answer.status, answer.body["code"]) == (429, "too-many-requests")
        assert int(answer.headers["Retry-After"]) > 0
        assert (await api.post(BARE, **modest)).status == 200
        assert (await api.get("/health/ready")).status == 200
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        await eventually(lambda: not api.operations.waiting)
        assert (await api.post(BARE, **greedy)).status == 200


async def test_each_answer_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller with a single place gets one answer after the other: good, refused and failed ones."""
    monkeypatch.setattr(rest_app, "MOST_CONNECTIONS", 2)
    async with rest_side() as api:
        assert (await api.post(BARE)).status == 200
        assert (await api.post({**BARE, "operationName": "Nonsense"})).status == 422
        for error, status in ((UpstreamTimeout("slow"), 504), (ZeroDivisionError(), 500)):
            api.operations.failure = error
            assert (
                await api.post(BARE, Connection="close")
            ).status == status  # after a 500 the server closes it anyway
        api.operations.failure = None
        assert (await api.post(BARE)).status == 200
        assert (await api.get("/operations")).status == 200


async def test_without_authentication_the_share_is_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody proves who they are, the share is that of the address that calls."""
    monkeypatch.setattr(rest_app, "MOST_CONNECTIONS", 2)
    async with rest_side() as api:
        wait = asyncio.create_task(api.post(BARE, Prefer="wait=60"))
        await eventually(lambda: api.operations.submissions)
        assert (await api.post(BARE)).status == 429
        wait.cancel()
        await asyncio.wait([wait])
