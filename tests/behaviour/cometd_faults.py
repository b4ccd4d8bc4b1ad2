"""What a CometD session promises to its sink when the network or the server misbehaves; inherited for each upstream."""

import asyncio
from collections.abc import Callable

import pytest

from bridge.cometd import State
from bridge.simulator import Fault
from tests.behaviour.cometd_listener import CHANNELS, Listener
from tests.behaviour.cometd_session import INTERNAL, MAX_INTERVAL, OUTBOUND, OnAnUpstream
from tests.behaviour.cometd_upstream import Upstream
from tests.fault_proxy import FaultProxy
from tests.waiting import eventually


async def publish_under(fault: Fault, upstream: Upstream, proxy: FaultProxy) -> int:
    """Publish single events until the fault has struck as often as it may; return how many they were."""
    proxy.faults.add(fault)
    published, struck = 0, 0
    while struck < (fault.times or 1):
        await upstream.publish(OUTBOUND, published)
        published += 1
        await eventually(_strikes_over(struck, fault, proxy))
        struck = proxy.faults.struck[fault.name]
    return published


def _strikes_over(struck: int, fault: Fault, proxy: FaultProxy) -> Callable[[], bool]:
    return lambda: proxy.faults.struck.get(fault.name, 0) > struck


class PollFaultRules(OnAnUpstream):
    """Polls that fail for less than maxInterval cost nothing."""

    @pytest.mark.parametrize("name", ["html-503", "cut-reply", "reset", "broken-json", "wrong-id"])
    async def test_failed_polls(self, upstream: Upstream, proxy: FaultProxy, listener: Listener, name: str) -> None:
        """Some failed polls lose nothing, double nothing, and lead to no new handshake."""
        tried = listener.handshakes
        published = await publish_under(Fault(name, on="connect", times=3), upstream, proxy)
        await upstream.publish(OUTBOUND, published)
        await listener.has_kept(*range(published + 1))
        await eventually(lambda: listener.session.status.state is State.CONNECTED)
        assert (len(listener.sink.openings), listener.handshakes) == (1, tried)

    @pytest.mark.parametrize("options", [{"timeout": 1.0}], indirect=True)
    async def test_polls_that_hang(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """Polls that hang beyond their deadline, for longer than maxInterval in all, don't cost the session either."""
        tried = listener.handshakes
        published = await publish_under(Fault("slow", on="connect", times=2, delay=60), upstream, proxy)
        await upstream.publish(OUTBOUND, published)
        await listener.has_kept(*range(published + 1))
        assert (len(listener.sink.openings), listener.handshakes) == (1, tried)

    async def test_heartbeats_that_hang(self, upstream: Upstream, proxy: FaultProxy) -> None:
        """During a hold a heartbeat that hangs leaves time for others, although other requests may take longer."""
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, request_timeout=10.0) as listener:
            await listener.listening()
            listener.sink.close()
            await upstream.publish(OUTBOUND, 1)
            await eventually(lambda: listener.sink.held)
            proxy.faults.add(Fault("slow", on="subscribe", times=1, delay=60))
            await asyncio.sleep(2 * MAX_INTERVAL)  # the rule is about this time
            listener.sink.open()
            await upstream.publish(OUTBOUND, 2)
            await listener.has_kept(1, 2)
        assert proxy.faults.struck == {"slow": 1}
        assert len(listener.sink.openings) == 1

    @pytest.mark.parametrize("options", [{"ack_extension": False, "timeout": 1.0}], indirect=True)
    @pytest.mark.parametrize("on", ["connect", "subscribe"])
    async def test_a_wrong_id_without_the_extension(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener, on: str
    ) -> None:
        """Without the extension the events beside a reply that nobody asked for exist only here: they are kept."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 0)
        await eventually(lambda: listener.sink.held)
        proxy.faults.add(Fault("wrong-id", on=on, times=1))
        await upstream.publish(OUTBOUND, 1)
        if on == "subscribe":
            await eventually(lambda: proxy.faults.struck)
        listener.sink.open()
        await listener.has_kept(0, 1)
        await eventually(lambda: proxy.faults.struck)
        await upstream.publish(OUTBOUND, 2)
        await listener.has_kept(0, 1, 2)

    @pytest.mark.parametrize("options", [{"ack_extension": False}], indirect=True)
    async def test_wrong_ids_only(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """Without the extension such events are kept at once: nobody knows when a good poll comes, or a stop."""
        proxy.faults.add(Fault("wrong-id", on="connect"))
        await upstream.publish(OUTBOUND, 0)
        await listener.has_kept(0)
        await eventually(lambda: proxy.faults.struck)
        await upstream.publish(OUTBOUND, 1)
        await listener.has_kept(0, 1)
        await upstream.publish(OUTBOUND, 2)
        await listener.has_kept(0, 1, 2)
        await eventually(lambda: listener.session.status.state is State.RETRYING)


class HandshakeRules(OnAnUpstream):
    """Handshakes are few, and end at a stop."""

    async def test_a_storm_of_402(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """A server that takes every handshake and refuses every poll gets a few handshakes; then all is well again."""
        proxy.faults.add(Fault("unknown-client", on="connect", seconds=2.0))
        await upstream.publish(OUTBOUND, 0)
        await eventually(lambda: proxy.faults.struck and not proxy.faults.armed)
        assert 1 < listener.handshakes <= 7
        await listener.listening(sessions=2)
        await upstream.publish(OUTBOUND, 1)
        await eventually(lambda: listener.sink.events[-1:] == [1])  # 0 may be lost with its session

    async def test_a_stop_between_handshakes(self, proxy: FaultProxy) -> None:
        """A stop does not wait until the next handshake is due."""
        proxy.faults.add(Fault("html-503", on="handshake"))
        async with Listener(proxy.url) as listener:
            await eventually(lambda: listener.handshakes == 4)  # the next comes at least a second later
            assert listener.session.status.reason == "http-503"
            listener.session.stop()
            await asyncio.wait_for(listener.run, 5)
        assert listener.handshakes == 4
        assert listener.sink.openings == []


class SubscriptionRules(OnAnUpstream):
    """A refused subscription is told, and asked for again."""

    async def test_refused_at_the_start(self, upstream: Upstream, proxy: FaultProxy) -> None:
        """A refused subscription shows in the status and is repeated; once it is granted its events flow."""
        proxy.faults.add(Fault("refuse-subscription", on="subscribe", times=3))
        async with Listener(proxy.url, max_interval=MAX_INTERVAL) as listener:
            await eventually(lambda: listener.session.status.refused)
            assert listener.session.status.refused == dict.fromkeys(CHANNELS, "403")
            assert listener.session.status.confirmed == set()
            await listener.listening()
            assert listener.session.status.refused == {}
            await upstream.publish(INTERNAL, 1)
            await upstream.publish(OUTBOUND, 2)
            await listener.has_kept(1, 2)
        assert proxy.faults.struck == {"refuse-subscription": 3}

    async def test_refused_while_events_flow(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """A refused subscription is repeated also when the polls are so busy that no heartbeat is due."""
        proxy.faults.add(Fault("refuse-subscription", on="subscribe", times=1))
        status, published = listener.session.status, 0
        await eventually(lambda: status.refused)
        async with asyncio.timeout(30):
            while status.refused:
                await upstream.publish(OUTBOUND, published)
                published += 1
                await listener.has_kept(*range(published))
        assert status.confirmed == set(CHANNELS)


class OddReplyRules(OnAnUpstream):
    """Replies that no CometD server should send cost nothing but time."""

    @pytest.mark.parametrize("name", ["advice-hours", "odd-acknowledgement", "odd-subscription", "unsolicited"])
    async def test_an_odd_poll_reply(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """Some odd replies to polls lose nothing, double nothing, and lead to no new session."""
        monkeypatch.setattr("bridge.cometd.advice.LONGEST_INTERVAL", 0.5)
        tried = listener.handshakes
        published = await publish_under(Fault(name, on="connect", times=2), upstream, proxy)
        await upstream.publish(OUTBOUND, published)
        await listener.has_kept(*range(published + 1))
        await listener.listening()
        assert listener.session.status.refused == {}
        assert (len(listener.sink.openings), listener.handshakes) == (1, tried)

    async def test_reconnect_none(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """A poll that is refused with `reconnect: none` leads to a new session, by that reason."""
        await publish_under(Fault("advice-none", on="connect", times=1), upstream, proxy)
        await listener.listening(sessions=2)
        assert listener.sink.openings[1].reason == "advice-none"
        await upstream.publish(OUTBOUND, 7)
        await eventually(lambda: 7 in listener.sink.events)

    async def test_an_odd_client_id(self, upstream: Upstream, proxy: FaultProxy) -> None:
        """A clientId that can't be used is no session; the next handshake makes one."""
        proxy.faults.add(Fault("odd-client-id", on="handshake", times=1))
        async with Listener(proxy.url, max_interval=MAX_INTERVAL) as listener:
            await listener.listening()
            await upstream.publish(OUTBOUND, 1)
            await listener.has_kept(1)
        assert listener.handshakes == 2
