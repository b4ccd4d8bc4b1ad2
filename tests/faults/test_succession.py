"""One bridge follows another: by plan, or because two were started."""

import pytest

from tests.faults.operations import caller
from tests.faults.site import EXIT_LIMIT, Site
from tests.waiting import eventually

UNATTENDED = pytest.mark.parametrize("web", [{"max_interval": 20.0}], indirect=True)
"""For scenarios in which nobody polls while a bridge starts. On a busy machine that can take longer than 10 seconds."""


async def test_two_bridges_at_once(site: Site) -> None:
    """The second bridge takes the session over; the first says that it was fenced, and leaves it alive."""
    first = await site.ready_bridge()
    sessions = await site.client_ids()
    async with site.load():
        second = await site.ready_bridge()
        assert await first.exited(within=20) == 0
        await site.caught_up()
    assert len(first.events("fenced")) == 1
    assert not second.events("fenced")
    assert await second.handshakes() == 0
    assert await site.client_ids() == sessions
    account = await site.settled()
    assert account.changes == ["opened"]


async def test_a_lingering_predecessor(site: Site) -> None:
    """With --linger a bridge that was taken over stays, live, not ready and taking no operation, until it is told."""
    first = await site.ready_bridge("--linger", "60")
    async with site.load():
        second = await site.ready_bridge("--linger", "1")
        await eventually(lambda: first.events("lingering"), within=20)
        assert await first.live()
        assert await first.missing()
        async with caller(first) as rest:
            assert (await rest.post("123456789")).status == 429
        assert (await first.terminate()).status == 0
        third = await site.ready_bridge()
        assert await second.exited(within=20) == 0, "nobody told it, so it ends when its time is over"
    assert second.events("lingering")
    assert [await third.handshakes(), (await site.settled()).changes] == [0, ["opened"]]


@UNATTENDED
async def test_rolling_restart_under_load(site: Site) -> None:
    """Five SIGTERM restarts under load: each ends with 0 in time, and nothing is lost, doubled or shaken anew."""
    bridge = await site.ready_bridge()
    sessions = await site.client_ids()
    async with site.load():
        for _ in range(5):
            await site.caught_up()
            exit_ = await bridge.terminate()
            assert exit_.status == 0, bridge.output()[-2000:]
            assert exit_.seconds < EXIT_LIMIT
            bridge = await site.ready_bridge()
            assert await bridge.handshakes() == 0, bridge.output()[-3000:]
    assert await site.client_ids() == sessions
    account = await site.settled()
    assert account.changes == ["opened"]


@UNATTENDED
async def test_successor_before_the_end(site: Site) -> None:
    """A successor that starts before its predecessor is told to stop doubles nothing, and the stop is orderly still."""
    first = await site.ready_bridge()
    sessions = await site.client_ids()
    async with site.load():
        second = await site.bridge()
        exit_ = await first.terminate()
        assert exit_.status == 0
        assert exit_.seconds < EXIT_LIMIT
        await second.ready()
    assert await second.handshakes() == 0, second.output()[-3000:]
    assert await site.client_ids() == sessions
    account = await site.settled()
    assert account.changes == ["opened"]


async def test_takeover_of_a_quiet_session(site: Site) -> None:
    """Where no event makes the first bridge publish, the poll that its successor displaces tells it to leave."""
    first = await site.ready_bridge()
    sessions = await site.client_ids()
    second = await site.ready_bridge()
    assert await first.exited(within=20) == 0
    assert len(first.events("fenced")) == 1
    displaced = [line for line in second.events("cometd-disconnected") if line["reason"] == "http-408"]
    assert displaced == []
    assert await site.client_ids() == sessions
    await site.ledger.publish(10)
    account = await site.settled()
    assert account.changes == ["opened"]
