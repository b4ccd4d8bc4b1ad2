"""Which relays run: only a new assignment starts and stops them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from bridge.delivery import Slots
from bridge.fleet import RelayTasks
from bridge.fleet.ownership import Ownership
from bridge.settings import Kafka
from tests.waiting import eventually


class FakeRelays:
    """The relays of one slot, which end when they are told, or when another bridge takes the slot."""

    def __init__(self, slot: int, count: int) -> None:
        self.slot, self.count = slot, count
        self.stopped = asyncio.Event()
        self.taken = False
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.runs = False

    async def run(self) -> bool:
        self.runs = True
        await self.stopped.wait()
        await self.may_end.wait()
        self.runs = False
        return self.taken

    def accounts_changed(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped.set()

    def take(self) -> None:
        """Another bridge takes the slot over."""
        self.taken = True
        self.stopped.set()


class Owner:
    """An ownership, all relays that it made, and how often a slot was taken."""

    def __init__(self) -> None:
        self.made: list[FakeRelays] = []
        self.taken = 0
        self.ownership = Ownership(self._make, on_taken=self._on_taken)

    def _make(self, slot: int, count: int) -> FakeRelays:
        self.made.append(FakeRelays(slot, count))
        return self.made[-1]

    def _on_taken(self) -> None:
        self.taken += 1

    def running(self) -> list[int]:
        return sorted(one.slot for one in self.made if one.runs)

    def assign(self, *slots: int) -> None:
        self.ownership.assign(frozenset(slots), 16, orphaned=())


@asynccontextmanager
async def owner() -> AsyncIterator[Owner]:
    made = Owner()
    running = asyncio.ensure_future(made.ownership.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_what_stays_is_not_touched() -> None:
    """A new assignment starts what came, stops what left, and lets go on what stayed."""
    async with owner() as one:
        one.assign(1, 2)
        await eventually(lambda: one.running() == [1, 2])
        stayed = one.made[1]
        one.assign(2, 3)
        await eventually(lambda: one.running() == [2, 3])
        assert [made.slot for made in one.made] == [1, 2, 3]
        assert not stayed.stopped.is_set()
        assert one.made[0].count == 16


async def test_a_slot_that_comes_back_while_it_is_let_go() -> None:
    """A slot that is assigned again before its turns were committed is taken over anew, after them."""
    async with owner() as one:
        one.assign(1)
        await eventually(lambda: one.made)
        one.made[0].may_end.clear()
        one.assign()
        one.assign(1)
        await asyncio.sleep(0)
        assert len(one.made) == 1
        one.made[0].may_end.set()
        await eventually(lambda: len(one.made) == 2)
        await eventually(lambda: one.running() == [1])


async def test_a_slot_that_was_taken_waits_for_an_assignment() -> None:
    """A slot that another bridge took is claimed no more, until an assignment brings it."""
    before = REGISTRY.get_sample_value("bridge_fleet_handovers_total", {"reason": "fenced"}) or 0
    async with owner() as one:
        one.assign(1, 2)
        await eventually(lambda: one.running() == [1, 2])
        one.made[0].take()
        await eventually(lambda: one.taken)
        assert set(one.ownership.owned) == {2}
        assert one.running() == [2]
        one.assign(1, 2)
        await eventually(lambda: one.running() == [1, 2])
    assert REGISTRY.get_sample_value("bridge_fleet_handovers_total", {"reason": "fenced"}) == before + 1


async def test_a_planned_stop_lets_every_slot_go() -> None:
    """On return of `let_go` no relay runs any more."""
    async with owner() as one:
        one.assign(1, 2)
        await eventually(lambda: one.running() == [1, 2])
        one.made[0].may_end.clear()
        leaving = asyncio.ensure_future(one.ownership.let_go())
        await eventually(lambda: one.running() == [1])
        assert not leaving.done()
        one.made[0].may_end.set()
        await leaving
        assert one.running() == []


class FakeAccount:
    """An account's relay; `stuck` ends only when it is cancelled."""

    def __init__(self, name: str, *, stuck: bool = False) -> None:
        self.name, self._stuck = name, stuck
        self.published_by: object = None
        self.relays = False
        self._end = asyncio.Event()
        self._fenced = False

    def take_over(self, slots: object) -> None:
        self.published_by, self.relays = slots, True

    async def run(self, *, disconnect_on_exit: bool) -> bool:
        assert not disconnect_on_exit, "another replica goes on with the session"
        await self._end.wait()
        if self._stuck:
            await asyncio.Event().wait()
        return self._fenced

    def fence(self) -> None:
        self._fenced = True
        self._end.set()

    def stop(self) -> None:
        self._end.set()

    def let_go(self) -> None:
        self.relays = False


SLOTS = Slots(Kafka(bootstrap_servers="127.0.0.1:1"))


def owned(*accounts: FakeAccount) -> RelayTasks:
    return RelayTasks(SLOTS, lambda: accounts, together=True)


async def test_the_accounts_of_a_slot_relay_until_it_is_let_go() -> None:
    """Each account relays by a publisher of the slot, and stands by afterwards."""
    accounts = FakeAccount("a"), FakeAccount("b")
    slot = owned(*accounts)
    running = asyncio.ensure_future(slot.run())
    await eventually(lambda: all(one.relays for one in accounts))
    assert [one.published_by for one in accounts] == [SLOTS, SLOTS]
    slot.stop()
    assert not await running
    assert not any(one.relays for one in accounts)


async def test_one_fenced_account_ends_the_slot() -> None:
    """Another bridge takes a whole slot over: where one account is fenced, the others of the slot stop as well."""
    accounts = FakeAccount("a"), FakeAccount("b")
    running = asyncio.ensure_future(owned(*accounts).run())
    await eventually(lambda: all(one.relays for one in accounts))
    accounts[1].fence()
    assert await running
    assert not any(one.relays for one in accounts)


async def test_a_turn_that_does_not_end_is_left_to_the_next_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letting go is bounded: after a deadline the relay is cancelled, and the log says so."""
    monkeypatch.setattr("bridge.fleet.relay_tasks.STOP_DEADLINE", 0.05)
    account = FakeAccount("a", stuck=True)
    slot = owned(account)
    running = asyncio.ensure_future(slot.run())
    await eventually(lambda: account.relays)
    with capture_logs() as lines:
        slot.stop()
        assert not await running
    assert not account.relays
    assert [line["event"] for line in lines] == ["stop-deadline-passed"]


async def test_a_slot_without_accounts_is_owned() -> None:
    """A slot that no account hashes to is held until it is let go."""
    slot = owned()
    running = asyncio.ensure_future(slot.run())
    await asyncio.sleep(0)
    assert not running.done()
    slot.stop()
    assert not await running


async def test_accounts_come_and_go_while_the_slot_is_owned() -> None:
    """What comes is relayed, the end of what has left is no fencing, and the others relay on."""
    stays, leaves, comes = FakeAccount("a"), FakeAccount("b"), FakeAccount("c")
    present = [stays, leaves]
    slot = RelayTasks(SLOTS, lambda: present, together=True)
    running = asyncio.ensure_future(slot.run())
    await eventually(lambda: stays.relays and leaves.relays)
    present.remove(leaves)
    leaves.stop()
    present.append(comes)
    slot.accounts_changed()
    await eventually(lambda: comes.relays and not leaves.relays)
    assert stays.relays
    assert not running.done()
    slot.stop()
    assert not await running
    assert not any(one.relays for one in present)


async def test_a_slot_without_accounts_waits_for_the_first() -> None:
    """A slot may be owned without an account, and relays the first one that comes."""
    present: list[FakeAccount] = []
    slot = RelayTasks(SLOTS, lambda: present, together=True)
    running = asyncio.ensure_future(slot.run())
    await asyncio.sleep(0)
    present.append(FakeAccount("a"))
    slot.accounts_changed()
    await eventually(lambda: present[0].relays)
    slot.stop()
    assert not await running


async def test_alone_ends_when_all_accounts_are_taken() -> None:
    """Without a fleet one fenced account stops no other; the process ends when other bridges have them all."""
    present = [FakeAccount("a"), FakeAccount("b")]
    alone = RelayTasks(SLOTS, lambda: present, together=False)
    running = asyncio.ensure_future(alone.run(disconnect_on_exit=False))
    await eventually(lambda: all(one.relays for one in present))
    present[0].fence()
    await eventually(lambda: not present[0].relays)
    present.append(FakeAccount("c"))
    alone.accounts_changed()
    await eventually(lambda: present[2].relays)
    assert present[1].relays
    assert not present[0].relays
    for one in present:
        one.fence()
    await running
