"""What a CometD session promises to its sink while the network works; inherited for each upstream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from bridge.cometd import Resume, State
from bridge.cometd.http.incoming import MAX_REPLY_BYTES
from bridge.errors import KafkaUnavailable
from tests.behaviour.cometd_listener import CHANNELS, Listener
from tests.behaviour.cometd_upstream import Upstream
from tests.fault_proxy import FaultProxy
from tests.waiting import eventually

OUTBOUND: Final = "/v2/me/outbound"
INTERNAL: Final = "/me/internal"
MAX_INTERVAL: Final = 2.0
"""Seconds, of the server and of the listener: short, so that the tests are."""
PARKED: Final = 5.0
"""Seconds that the server holds a poll."""
STOP_LIMIT: Final = 3.0
"""Seconds that a stop may take, far fewer than a parked poll."""


class OnAnUpstream:
    """The fixtures: an upstream, a proxy before it that makes the faults, and one process that listens."""

    max_reply_bytes = MAX_REPLY_BYTES

    async def start_upstream(self, **options: Any) -> Upstream:
        raise NotImplementedError

    @pytest.fixture
    def options(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        """The server's options; parametrize it indirectly with those that differ."""
        return {"max_interval": MAX_INTERVAL, "timeout": PARKED, **getattr(request, "param", {})}

    @pytest_asyncio.fixture
    async def upstream(self, options: dict[str, Any]) -> AsyncIterator[Upstream]:
        upstream = await self.start_upstream(**options)
        try:
            yield upstream
        finally:
            await upstream.stop()

    @pytest_asyncio.fixture
    async def proxy(self, upstream: Upstream) -> AsyncIterator[FaultProxy]:
        async with FaultProxy(upstream.url) as proxy:
            yield proxy

    @pytest_asyncio.fixture
    async def listener(self, proxy: FaultProxy, options: dict[str, Any]) -> AsyncIterator[Listener]:
        async with Listener(
            proxy.url, max_interval=options["max_interval"], max_reply_bytes=self.max_reply_bytes
        ) as listener:
            await listener.listening()
            yield listener


class DeliveryRules(OnAnUpstream):
    """Events reach the sink once and in order, and are acknowledged when it has kept them."""

    async def test_order(self, upstream: Upstream, listener: Listener) -> None:
        """Events of many publishes, on both channels, arrive once and in the order of their publishing."""
        published = 0
        while published < 300:
            together = range(published, published + 1 + published % 5)
            await upstream.publish(INTERNAL if published % 3 == 0 else OUTBOUND, *together)
            published += len(together)
        await listener.has_kept(*range(published))

    async def test_the_first_poll(self, proxy: FaultProxy) -> None:
        """The first poll of a session brings the subscriptions along: nothing is missed between the two."""
        async with Listener(proxy.url, max_interval=MAX_INTERVAL) as listener:
            await eventually(lambda: listener.sink.batches)
            assert listener.session.status.confirmed == set(CHANNELS)

    async def test_one_reply_of_20000_events(self, upstream: Upstream, listener: Listener) -> None:
        """A reply has no size limit: what gathered during a hold comes as one batch."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 0)
        await eventually(lambda: listener.sink.held)
        await upstream.publish(OUTBOUND, *range(1, 20_001))
        listener.sink.open()
        await listener.has_kept(*range(20_001))
        assert max(len(batch.events) for batch in listener.sink.batches) == 20_000

    @pytest.mark.parametrize("options", [{"max_interval": 1.5}], indirect=True)
    async def test_a_long_hold(self, upstream: Upstream, listener: Listener, options: dict[str, Any]) -> None:
        """A batch held three times maxInterval keeps the session; what was published meanwhile follows it."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 1)
        await eventually(lambda: listener.sink.held)
        await upstream.publish(OUTBOUND, 2, 3)
        await asyncio.sleep(3 * options["max_interval"])  # the rule is about this time
        status = listener.session.status
        assert (status.state, status.held_events, listener.sink.events) == (State.HOLDING, 1, [])
        listener.sink.open()
        await listener.has_kept(1, 2, 3)
        assert len(listener.sink.openings) == 1

    async def test_the_numbers_of_batches(self, upstream: Upstream, listener: Listener) -> None:
        """Each poll acknowledges what was kept before: a batch's base is the acknowledgement of the one before it."""
        for event in range(5):
            await upstream.publish(OUTBOUND, event)
            await listener.has_kept(*range(event + 1))
        batches = listener.sink.batches
        assert batches[0].base == 0
        assert [batch.base for batch in batches[1:]] == [batch.acknowledgement for batch in batches[:-1]]

    async def test_a_sink_that_fails(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """A failed batch is not acknowledged: `run` raises what the sink raised, and a successor gets it again."""
        await upstream.publish(OUTBOUND, 1)
        await listener.has_kept(1)
        listener.sink.fails = True
        await upstream.publish(OUTBOUND, 2, 3)
        with pytest.raises(KafkaUnavailable):
            await asyncio.wait_for(listener.run, 5)
        assert listener.sink.refused == [2, 3]
        assert listener.session.status.state is State.STOPPED
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=listener.resume()) as successor:
            await successor.has_kept(2, 3)
        assert [opening.resumed for opening in successor.sink.openings] == [True]

    @pytest.mark.parametrize("options", [{"ack_extension": False}], indirect=True)
    async def test_without_the_extension(self, upstream: Upstream, listener: Listener) -> None:
        """Without the extension status and opening say so; events in subscribe replies follow the held batch."""
        assert not listener.session.status.ack_extension
        assert not listener.sink.openings[0].ack_extension
        listener.sink.close()
        await upstream.publish(OUTBOUND, 1)
        await eventually(lambda: listener.sink.held)
        await upstream.publish(OUTBOUND, 2, 3)
        await eventually(lambda: listener.sink.arrivals == [1, 2, 3])  # a heartbeat's reply brought them
        await upstream.publish(OUTBOUND, 4)
        listener.sink.open()
        await listener.has_kept(1, 2, 3, 4)
        assert {(batch.base, batch.acknowledgement) for batch in listener.sink.batches} == {(None, None)}


class SuccessionRules(OnAnUpstream):
    """A process ends, the session stays, and the next process goes on with it."""

    async def test_stop_while_a_poll_is_parked(self, upstream: Upstream, listener: Listener) -> None:
        """A stop does not wait for the parked poll, and leaves the session alive on the server."""
        listener.session.stop()
        await asyncio.wait_for(listener.run, STOP_LIMIT)
        assert listener.session.status.state is State.STOPPED
        assert list(await upstream.client_ids()) == [listener.session.status.client_id]

    async def test_stop_during_a_held_batch(self, upstream: Upstream, listener: Listener) -> None:
        """A stop waits for the batch that the sink holds, and for nothing after it."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 1)
        await eventually(lambda: listener.sink.held)
        await upstream.publish(OUTBOUND, 2)
        listener.session.stop()
        _, waiting = await asyncio.wait({listener.run}, timeout=0.3)
        assert waiting
        listener.sink.open()
        await asyncio.wait_for(listener.run, STOP_LIMIT)
        assert listener.sink.events == [1]

    async def test_stop_right_after_the_handshake(self, upstream: Upstream, proxy: FaultProxy) -> None:
        """The sink has the session before the first poll, so a process that ends here leaves it to its successor."""
        async with Listener(proxy.url, max_interval=MAX_INTERVAL) as listener:
            listener.sink.on_open = listener.session.stop
            await asyncio.wait_for(listener.run, STOP_LIMIT)
            resume = listener.resume()
        assert not listener.sink.batches
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=resume) as successor:
            await successor.listening()
            await upstream.publish(OUTBOUND, 1)
            await successor.has_kept(1)
        assert successor.handshakes == 0

    async def test_stop_before_the_start(self, proxy: FaultProxy) -> None:
        """A stop that comes before `run` lets it do nothing, instead of being forgotten."""
        listener = Listener(proxy.url)
        listener.session.stop()
        await asyncio.wait_for(listener.session.run(), STOP_LIMIT)
        assert listener.handshakes == 0

    async def test_resume_after_a_cancellation(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """A new process with clientId, N and cookies goes on with the session, and loses nothing from in between."""
        await upstream.publish(OUTBOUND, 1)
        await listener.has_kept(1)
        await listener.cancel()
        await upstream.publish(OUTBOUND, 2)
        resume = listener.resume()
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=resume) as successor:
            await successor.listening()
            await upstream.publish(OUTBOUND, 3)
            await successor.has_kept(2, 3)
        (opening,) = successor.sink.openings
        assert (opening.resumed, opening.client_id) == (True, resume.client_id)
        assert successor.handshakes == 0
        assert successor.sink.batches[0].base == resume.acknowledgement

    async def test_a_displaced_poll_is_told(self, proxy: FaultProxy, listener: Listener) -> None:
        """A process whose session another one polls hears so with the first such poll, not at its own poll's end."""
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=listener.resume()):
            await eventually(lambda: listener.sink.displacements)

    async def test_cancellation_during_a_held_batch(
        self, upstream: Upstream, proxy: FaultProxy, listener: Listener
    ) -> None:
        """A process killed with a batch in hand leaves it to its successor."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 1, 2)
        await eventually(lambda: listener.sink.held)
        await listener.cancel()
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=listener.resume()) as successor:
            await successor.has_kept(1, 2)

    async def test_resume_without_the_cookies(self, upstream: Upstream, proxy: FaultProxy, listener: Listener) -> None:
        """The server trusts a clientId only beside its cookie: without it there is a new session, told once."""
        await listener.cancel()
        before = listener.resume()
        without = Resume(before.client_id, before.acknowledgement, {})
        async with Listener(proxy.url, max_interval=MAX_INTERVAL, resume=without) as successor:
            await successor.listening()
            await upstream.publish(OUTBOUND, 1)
            await successor.has_kept(1)
        (opening,) = successor.sink.openings
        assert (opening.resumed, opening.reason) == (False, "unknown-client")
        assert opening.client_id != before.client_id

    async def test_the_end_of_a_session(self, upstream: Upstream, listener: Listener) -> None:
        """`end` tells the server, which forgets the session at once."""
        listener.session.stop()
        await asyncio.wait_for(listener.run, STOP_LIMIT)
        await listener.session.end()
        assert list(await upstream.client_ids()) == []


class LossRules(OnAnUpstream):
    """The server has dropped the session: that is noticed, and a new one listens."""

    @pytest.mark.parametrize("options", [{"max_interval": 10.0, "timeout": 30.0}], indirect=True)
    async def test_expiry_under_a_parked_poll(self, upstream: Upstream, listener: Listener) -> None:
        """A session removed while a poll is parked is noticed within 10 s, not at the poll's end after 30 s."""
        await upstream.expire_sessions()
        await listener.listening(sessions=2)
        await upstream.publish(OUTBOUND, 1)
        await upstream.publish(INTERNAL, 2)
        await listener.has_kept(1, 2)
        assert [opening.reason for opening in listener.sink.openings] == ["start", "unknown-client"]

    async def test_expiry_during_a_hold(self, upstream: Upstream, listener: Listener) -> None:
        """A session lost while its batch is held keeps that batch, and is replaced when the sink has returned."""
        listener.sink.close()
        await upstream.publish(OUTBOUND, 1)
        await eventually(lambda: listener.sink.held)
        await upstream.expire_sessions()
        await eventually(lambda: listener.session._polling._lost)
        listener.sink.open()
        await listener.listening(sessions=2)
        await upstream.publish(OUTBOUND, 2)
        await listener.has_kept(1, 2)

    async def test_giving_up(self, upstream: Upstream, listener: Listener) -> None:
        """`give_up` replaces a session that looks sound, as a new browser: the old one's poll may still be parked."""
        browser = listener.http.cookies()["BAYEUX_BROWSER"]
        listener.session.give_up("watchdog")
        await listener.listening(sessions=2)
        await upstream.publish(OUTBOUND, 1)
        await listener.has_kept(1)
        first, second = listener.sink.openings
        assert second.reason == "watchdog"
        assert second.client_id != first.client_id
        assert listener.http.cookies()["BAYEUX_BROWSER"] != browser

    async def test_a_server_that_restarts(self, upstream: Upstream, listener: Listener) -> None:
        """A server that died and came back gets a new login and a new session, with all subscriptions."""
        await upstream.publish(OUTBOUND, 1)
        await listener.has_kept(1)
        await upstream.restart()
        await listener.listening(sessions=2)
        await upstream.publish(OUTBOUND, 2)
        await upstream.publish(INTERNAL, 3)
        await listener.has_kept(1, 2, 3)
        assert listener.session.status.confirmed == set(CHANNELS)

    async def test_a_dropped_login(self, upstream: Upstream, listener: Listener) -> None:
        """A login that ended is renewed, and the CometD session goes on: the server keeps it."""
        await upstream.drop_logins()
        await eventually(lambda: listener.credentials.challenges)
        await upstream.publish(OUTBOUND, 1)
        await listener.has_kept(1)
        await upstream.publish(OUTBOUND, 2)
        await listener.has_kept(1, 2)
        assert len(listener.sink.openings) == 1
