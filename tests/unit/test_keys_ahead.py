"""The keys of accounts that other replicas relay are derived before they are needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bridge.delivery import AccountKeys
from bridge.delivery.position import keys as position_keys
from tests.waiting import eventually

if TYPE_CHECKING:
    import pytest


async def test_keys_are_derived_while_the_process_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is derived before, and afterwards also the keys of an account that comes later."""
    monkeypatch.setattr(position_keys, "AHEAD_INTERVAL", 0.005)
    accounts = {name: AccountKeys(name, SecretStr("p")) for name in ("alice", "bob")}
    looks, idle = 0, False

    def is_idle() -> bool:
        nonlocal looks
        looks += 1
        return idle

    def derived(name: str) -> bool:
        try:
            accounts[name].sign("position", b"content")
        except RuntimeError:
            return False
        return True

    task = asyncio.create_task(position_keys.derive_ahead(accounts, idle=is_idle))
    try:
        await eventually(lambda: looks > 3)
        assert not any(map(derived, accounts))
        idle = True
        await eventually(lambda: all(map(derived, accounts)))
        accounts["carol"] = AccountKeys("carol", SecretStr("p"))
        await eventually(lambda: derived("carol"))
    finally:
        task.cancel()
        await asyncio.wait([task])
