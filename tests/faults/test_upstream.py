"""What happens between the bridge and Web Services: cut replies, lost sessions, dropped logins, a server that dies."""

import asyncio
import time

import pytest

from bridge.simulator import Fault
from tests.fault_proxy import FaultProxy
from tests.faults.ledger import Account
from tests.faults.site import Site

FIVE_SECONDS = 5.5
"""A gap's `from` is true to within 5 s (the position is noted that often without events), and a little."""


def check_gap(account: Account, lost_at: float, *, before: int, after: int) -> None:
    """One gap, with true times, told before the first event of the new session."""
    assert account.changes == ["opened", "lost", "gap", "opened"]
    opened = [event for event in account.sessions if event.change == "opened"]
    [gap] = account.gaps
    assert gap.from_ is not None
    assert gap.to is not None
    assert gap.from_.timestamp() <= lost_at <= gap.to.timestamp()
    assert lost_at - gap.from_.timestamp() < FIVE_SECONDS
    assert (gap.previous_session, gap.session) == (opened[0].session, opened[1].session)
    hashes = {one.content.reference_id: one.event_id.rpartition("-")[0] for one in account.seen}
    assert hashes[str(before)] == gap.previous_session
    assert hashes[str(after)] == gap.session
    first = min(one.timestamp for one in account.seen if one.event_id.startswith(gap.session))
    assert gap.to.timestamp() * 1000 <= first + 1


async def test_session_expired(site: Site) -> None:
    """A session that the server dropped gives exactly one gap, from before to after the loss, ahead of new events."""
    bridge = await site.ready_bridge()
    before = await site.ledger.publish(10)
    await site.arrived(10)
    lost_at = time.time()
    assert await site.web.expire_sessions() == 1
    during = await site.ledger.publish(10)

    async def gap_counted() -> bool:
        return await bridge.metric("bridge_cometd_gaps_total") == 1

    await bridge.until(gap_counted, within=10, what="aware of the loss")
    await bridge.ready()
    after = await site.ledger.publish(10)
    account = await site.settled()
    assert account.lost == list(range(during.first, during.first + during.count))
    check_gap(account, lost_at, before=before.first, after=after.first)


async def test_session_lost_while_the_bridge_was_away(site: Site) -> None:
    """A successor that finds the session gone tells the gap from its predecessor's last reply."""
    bridge = await site.ready_bridge()
    before = await site.ledger.publish(10)
    await site.arrived(10)
    await bridge.kill()
    lost_at = time.time()
    await site.web.expire_sessions()
    await site.ledger.publish(10)
    bridge = await site.ready_bridge()
    assert await bridge.handshakes() == 1
    after = await site.ledger.publish(10)
    check_gap(await site.settled(), lost_at, before=before.first, after=after.first)


async def test_server_killed_and_restarted(site: Site) -> None:
    """A server that died with its sessions and logins gives one gap; events flow again without a hand's help."""
    bridge = await site.ready_bridge()
    before = await site.ledger.publish(10)
    await site.arrived(10)
    lost_at = time.time()
    await site.web.kill()
    await bridge.without("cometd")
    assert await bridge.live()
    await site.web.restart()
    await bridge.ready()
    after = await site.ledger.publish(10)
    check_gap(await site.settled(), lost_at, before=before.first, after=after.first)


async def test_connection_cut_in_the_reply(site: Site) -> None:
    """A reply that was cut off in the middle comes again whole: nothing is lost and nothing doubled."""
    async with FaultProxy(site.web.url) as proxy:
        bridge = await site.ready_bridge(WEB_SERVICES__URL=proxy.url)
        async with site.load():
            for turn in range(1, 7):
                proxy.faults.add(Fault("cut-reply", on="connect", times=1))

                async def struck(turn: int = turn) -> bool:
                    return proxy.faults.struck.get("cut-reply", 0) >= turn

                await bridge.until(struck, within=10, what="struck")
        await bridge.ready()
        assert await bridge.handshakes() == 1
        account = await site.settled()
    assert account.changes == ["opened"]


async def test_login_dropped(site: Site) -> None:
    """When its login is gone the bridge logs in again, and goes on with the session it has."""
    bridge = await site.ready_bridge()
    sessions = await site.client_ids()

    async def dropped() -> bool:
        return await site.web.drop_logins() > 0

    async with site.load():
        for rounds in range(1, 4):
            await bridge.until(dropped, within=30, what="logging in")
            await site.arrived(rounds * 150)
        await bridge.ready()
    assert await bridge.handshakes() == 1
    assert await site.client_ids() == sessions
    account = await site.settled()
    assert account.changes == ["opened"]


@pytest.mark.parametrize("web", [{"max_interval": 10.0}], indirect=True)
async def test_html_503_for_some_seconds(site: Site) -> None:
    """A balancer's error page for three seconds costs a delay, and no session."""
    async with FaultProxy(site.web.url) as proxy:
        bridge = await site.ready_bridge(WEB_SERVICES__URL=proxy.url)
        async with site.load():
            proxy.faults.add(Fault("html-503", seconds=3))
            await bridge.without("cometd")
            assert await bridge.live()
            await bridge.ready()
        assert proxy.faults.struck["html-503"] > 1
        assert await bridge.handshakes() == 1
        account = await site.settled()
    assert account.changes == ["opened"]


async def test_a_hanging_bridge_loses_no_event_of_its_session(site: Site) -> None:
    """A bridge that was suspended for less than maxInterval goes on as if nothing had been."""
    bridge = await site.ready_bridge()
    async with site.load():
        await bridge.suspend()
        await asyncio.sleep(3)  # the length of the fault
        bridge.resume()
        await bridge.ready()
    assert await bridge.handshakes() == 1
    account = await site.settled()
    assert account.changes == ["opened"]
