"""The accounts of a process share a limit on their simultaneous handshakes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from bridge.cometd.transport import LongPollingTransport
from bridge.pacing import Gate
from bridge.simulator import Simulator
from tests.behaviour.cometd_listener import Listener

if TYPE_CHECKING:
    import pytest

    from bridge.cometd.transport import Reply

PLACES = 2


async def test_sessions_open_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sessions open, and at most so many logins and handshakes are under way as the gate has places."""
    under_way, most, shake_hands = 0, 0, LongPollingTransport.new_session

    async def watched(transport: LongPollingTransport) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await shake_hands(transport)
        finally:
            under_way -= 1

    monkeypatch.setattr(LongPollingTransport, "new_session", watched)
    gate = Gate(PLACES, 60.0)
    async with Simulator() as server, AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(Listener(server.url, handshakes=gate)) for _ in range(6)]
        for listener in listeners:
            await listener.listening()
    assert most == PLACES
