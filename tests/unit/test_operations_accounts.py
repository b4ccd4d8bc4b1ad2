"""Accounts come and go while the service of operations runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from bridge.delivery import AccountKeys
from bridge.errors import UnknownAccount
from bridge.operations import OperationRecords
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import ACCOUNT, KEYS, ScriptedUpstream, running, submission
from tests.waiting import eventually

NEW = "new-account"


def keys_of_both() -> dict[str, AccountKeys]:
    return {ACCOUNT: KEYS, NEW: AccountKeys(NEW, SecretStr("secret"))}


async def test_an_account_that_came_takes_operations() -> None:
    """A submission for an account is unknown before the account comes, and is forwarded by its client afterwards."""
    first, second = ScriptedUpstream(), ScriptedUpstream()
    async with running(first, records=OperationRecords(keys=keys_of_both())) as service:
        with pytest.raises(UnknownAccount):
            await service.submit(replace(submission(), account=NEW))
        service.add(NEW, second)
        view = await service.submit(replace(submission(), account=NEW))
        assert (view.status, view.account) == ("accepted", NEW)
        assert (len(first.requests), len(second.requests)) == (0, 1)


async def test_an_account_that_leaves_keeps_its_verdicts() -> None:
    """`remove` returns when the operation under way has its verdict; new operations are refused at once."""
    gate = asyncio.Event()
    leaver = ScriptedUpstream(gate)
    async with running(ScriptedUpstream(), records=OperationRecords(keys=keys_of_both())) as service:
        service.add(NEW, leaver)
        under_way = asyncio.create_task(service.submit(replace(submission(), account=NEW)))
        await eventually(lambda: leaver.requests)
        removing = asyncio.create_task(service.remove(NEW))
        await asyncio.sleep(0)
        with pytest.raises(UnknownAccount):
            await service.submit(replace(submission("2"), account=NEW))
        assert not removing.done()
        gate.set()
        await removing
        assert (await under_way).status == "accepted"


async def test_a_pending_operation_of_an_account_that_left_is_kept() -> None:
    """The operation stays pending and visible, until the time for orphaned operations ends it."""
    kafka = MemoryKafka()
    records = OperationRecords(keys=keys_of_both())
    async with running(ScriptedUpstream(), kafka, records=records, acknowledgement_timeout=0.2) as service:
        service.add(NEW, ScriptedUpstream())
        await service.submit(replace(submission(), account=NEW))
        await service.remove(NEW)
        assert service.get("1").status == "accepted"
    late = 3600 + 1.0
    others = OperationRecords(keys={ACCOUNT: KEYS})
    async with running(
        ScriptedUpstream(), kafka, records=others, ahead=late, acknowledgement_timeout=0.2, async_max_age=3600
    ) as service:
        await eventually(lambda: service.get("1").status == "timed-out")


async def test_an_account_may_come_back() -> None:
    """An account that returns takes operations again, and its earlier ones are still there."""
    async with running(ScriptedUpstream(), records=OperationRecords(keys=keys_of_both())) as service:
        service.add(NEW, ScriptedUpstream())
        await service.submit(replace(submission("1"), account=NEW))
        await service.remove(NEW)
        service.add(NEW, ScriptedUpstream())
        await service.submit(replace(submission("2", handle=14), account=NEW))
        assert [service.get(one).status for one in "12"] == ["accepted", "accepted"]


async def test_the_default_account_may_change() -> None:
    """A submission that names no account goes to the account that is the default at that moment."""
    second = ScriptedUpstream()
    async with running(ScriptedUpstream(), records=OperationRecords(keys=keys_of_both())) as service:
        service.add(NEW, second)
        service.default_account = NEW
        assert (await service.submit(submission())).account == NEW
        assert len(second.requests) == 1
