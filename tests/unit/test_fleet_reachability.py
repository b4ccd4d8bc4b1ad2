"""When a replica says that it does not reach Web Services."""

import asyncio
import time

import pytest

from bridge.fleet import reachability
from bridge.fleet.reachability import Reachability
from tests.waiting import eventually


async def test_without_any_answer_the_slots_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start counts as an answer. After a time without one the change is told, and again when there is one."""
    monkeypatch.setattr(reachability, "TICK", 0.005)
    monkeypatch.setattr(reachability, "GIVE_UP", 0.15)
    answered_at, changes = 0.0, []
    one = Reachability(lambda: answered_at, on_change=lambda: changes.append(one.reached))
    running = asyncio.ensure_future(one.run())
    assert one.reached
    await eventually(lambda: changes == [False])
    answered_at = time.monotonic() + 60
    await eventually(lambda: changes == [False, True])
    running.cancel()
    await asyncio.wait([running])
