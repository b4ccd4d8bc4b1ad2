"""What a CometD session does with replies that are too long to be held as a whole; inherited for each upstream."""

import asyncio
from typing import Final

import pytest
from prometheus_client import REGISTRY

from bridge.cometd import State
from bridge.simulator import Fault
from tests.behaviour.cometd_listener import Listener
from tests.behaviour.cometd_session import MAX_INTERVAL, OUTBOUND, STOP_LIMIT, OnAnUpstream
from tests.behaviour.cometd_upstream import Upstream
from tests.fault_proxy import FaultProxy
from tests.waiting import eventually

LIMIT: Final = 50_000


def too_large_replies(account: str) -> float:
    labels = {"account": account, "reason": "reply-too-large"}
    return REGISTRY.get_sample_value("bridge_cometd_replies_unusable_total", labels) or 0.0


"""Bytes: of a message, and of a part that is handed over."""
EVENTS: Final = range(1, 20_001)
"""Forty bytes each: a reply of many parts."""


class LongReplyRules(OnAnUpstream):
    """A long reply is handed over in parts, of which none is lost and none comes twice."""

    max_reply_bytes = LIMIT

    async def gather(self, upstream: Upstream, listener: Listener) -> None:
        """Let a long reply gather behind an event that the sink holds."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 0)
        await eventually(lambda: listener.sink.held)
        await upstream.publish(OUTBOUND, *EVENTS)

    async def in_the_middle(self, listener: Listener) -> None:
        """Let the sink keep the first event and a part of the reply behind it, and hold the next part."""
        while not (listener.sink.batches and listener.sink.batches[-1].more):
            await listener.sink.one_more()
        await eventually(lambda: listener.sink.held)
        assert listener.sink.held is not None
        assert listener.sink.held.more

    async def test_a_reply_longer_than_the_limit(self, upstream: Upstream, listener: Listener) -> None:
        """A backlog longer than the limit comes as batches of one reply, the acknowledgement with the last one only."""
        await self.gather(upstream, listener)
        listener.sink.open()
        await listener.has_kept(0, *EVENTS)
        await eventually(lambda: not listener.sink.batches[-1].more)
        parts = [batch for batch in listener.sink.batches if batch.more]
        assert len(parts) > 5
        assert {batch.acknowledgement for batch in parts} == {None}
        offsets = [sum(len(before.events) for before in parts[:number]) for number in range(len(parts))]
        assert [batch.offset for batch in parts] == offsets
        await upstream.publish(OUTBOUND, 20_001)
        await listener.has_kept(0, *EVENTS, 20_001)
        assert len(listener.sink.openings) == 1

    async def test_a_reply_that_is_cut_in_the_middle(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener
    ) -> None:
        """A long reply that is cut on its way comes again: what was handed over of it is not handed over twice."""
        await self.gather(upstream, listener)
        proxy.faults.add(Fault("cut-reply", on="connect", times=2))
        listener.sink.open()
        await listener.has_kept(0, *EVENTS)
        assert proxy.faults.struck == {"cut-reply": 2}
        assert any(batch.more for batch in listener.sink.batches)
        assert len(listener.sink.openings) == 1

    async def test_a_long_reply_to_something_else(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener
    ) -> None:
        """Where a long reply's end shows that it is not the poll's, a new session leaves no doubt about numbers."""
        await self.gather(upstream, listener)
        proxy.faults.add(Fault("wrong-id", on="connect", times=1))
        listener.sink.open()
        await listener.listening(sessions=2)
        assert listener.sink.openings[1].reason == "mismatched-reply"
        await upstream.publish(OUTBOUND, 20_001)
        await eventually(lambda: listener.sink.events[-1] == 20_001)

    async def test_a_stop_in_the_middle(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """A stop waits for the part that the sink holds and for no other; a successor gets what follows."""
        await self.gather(upstream, listener)
        await self.in_the_middle(listener)
        kept, held = len(listener.sink.events), listener.sink.held
        assert held is not None
        listener.session.stop()
        _, waiting = await asyncio.wait({listener.run}, timeout=0.3)
        assert waiting
        listener.sink.open()
        await asyncio.wait_for(listener.run, STOP_LIMIT)
        assert len(listener.sink.events) == kept + len(held.events)
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=listener.resume()) as successor:
            await successor.has_kept(*EVENTS)

    async def test_a_cancellation_in_the_middle(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener
    ) -> None:
        """A process killed with a part in hand leaves the whole reply to its successor."""
        await self.gather(upstream, listener)
        await self.in_the_middle(listener)
        await listener.cancel()
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=listener.resume()) as successor:
            await successor.has_kept(*EVENTS)

    async def test_a_long_hold_in_the_middle(self, upstream: Upstream, listener: Listener) -> None:
        """A part held for longer than an exchange may take and than maxInterval costs neither reply nor session."""
        await self.gather(upstream, listener)
        await self.in_the_middle(listener)
        await asyncio.sleep(1.5 * MAX_INTERVAL)  # the rule is about this time
        assert listener.session.status.state is State.HOLDING
        listener.sink.open()
        await listener.has_kept(0, *EVENTS)
        assert len(listener.sink.openings) == 1

    @pytest.mark.parametrize("step", ["give_up", "repoll"])
    async def test_the_watchdog_in_the_middle(self, upstream: Upstream, listener: Listener, step: str) -> None:
        """What the watchdog does in the middle of a reply waits for its end: it may be the session's last."""
        await self.gather(upstream, listener)
        await self.in_the_middle(listener)
        if step == "give_up":
            listener.session.give_up("watchdog")
        else:
            listener.session.repoll()
        listener.sink.open()
        await listener.has_kept(0, *EVENTS)
        await listener.listening(sessions=2 if step == "give_up" else 1)

    @pytest.mark.parametrize("name", ["zip-bomb", "endless-body"])
    async def test_a_reply_without_end(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener, name: str
    ) -> None:
        """A reply that is no message and has no end is cut and told; then all is well again."""
        proxy.faults.add(Fault(name, on="connect", times=2))
        await upstream.publish(OUTBOUND, 1)
        await eventually(lambda: listener.session.status.reason == "reply-too-large")
        await upstream.publish(OUTBOUND, 2)
        await listener.has_kept(1, 2)
        await eventually(lambda: listener.session.status.state is State.CONNECTED)
        assert len(listener.sink.openings) == 1
        assert too_large_replies(listener.options.account) == 2

    @pytest.mark.parametrize("on", ["handshake", "subscribe"])
    async def test_a_first_reply_without_end(self, upstream: Upstream, proxy: FaultProxy, on: str) -> None:
        """A handshake's reply, and a first poll's, that have no end are cut, told and tried again."""
        proxy.faults.add(Fault("zip-bomb", on=on, times=1))
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, max_reply_bytes=LIMIT) as listener:
            await eventually(lambda: listener.session.status.reason == "reply-too-large")
            await listener.listening()
            await upstream.publish(OUTBOUND, 1)
            await listener.has_kept(1)

    @pytest.mark.parametrize("options", [{"ack_extension": False}], indirect=True)
    async def test_a_long_reply_without_the_extension(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener
    ) -> None:
        """Without the extension each part arrives before it is received; a cut reply loses only what did not arrive."""
        await self.gather(upstream, listener)
        proxy.faults.add(Fault("cut-reply", on="connect", times=1))
        listener.sink.open()
        await eventually(lambda: proxy.faults.struck)
        number = 20_001
        async with asyncio.timeout(30):
            while listener.sink.events[-1] <= 20_000:  # what is published too early is part of the reply that was cut
                await upstream.publish(OUTBOUND, number)
                number += 1
                await asyncio.sleep(0.1)
        await eventually(lambda: listener.sink.events[-1] == number - 1)
        assert listener.sink.events == listener.sink.arrivals
        assert listener.sink.events == sorted(set(listener.sink.events))
        assert {(batch.base, batch.acknowledgement) for batch in listener.sink.batches} == {(None, None)}
