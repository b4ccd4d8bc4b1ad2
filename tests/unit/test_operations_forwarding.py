"""The way to Web Services: what is tried again, how often, and how many at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec
import pytest

from bridge.errors import (
    Busy,
    LoginNotKept,
    LoginRefused,
    UpstreamInvalidReply,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.operations import Limits
from bridge.operations.forwarding.account_forwarder import PATIENCE, AccountForwarder
from tests.unit.operation_parts import ACCEPTED, ACCOUNT, SAMPLE, ScriptedUpstream
from tests.waiting import eventually

if TYPE_CHECKING:
    from bridge.webservices import UpstreamReply

BODY = msgspec.json.encode(SAMPLE)
NOT_SENT = UpstreamUnreachable("no connection", sent=False)
CUT = UpstreamUnreachable("cut", sent=True)
HTML_503 = UpstreamInvalidReply("a page", http_status=503)
BROKEN = UpstreamInvalidReply("no JSON", http_status=200)
STATE = UpstreamRejected("state", http_status=500, status_code=4, status_message=None)
SLOW = UpstreamTimeout("slow")


def forwarding(upstream: ScriptedUpstream, **limits: float) -> AccountForwarder:
    return AccountForwarder(upstream, ACCOUNT, Limits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operation", "first", "sent"),
    [
        ("DoNotCallRecord", NOT_SENT, 1),
        ("DoNotCallRecord", CUT, 2),
        ("DoNotCallRecord", HTML_503, 2),
        ("AddRecord", NOT_SENT, 1),
        ("AddRecord", LoginNotKept("forgotten"), 1),
    ],
)
async def test_tried_again(operation: str, first: Exception, sent: int) -> None:
    """What was never sent is always tried again; a cut reply and a 503 where twice does no harm. The count is told."""
    upstream = ScriptedUpstream(first)
    verdict = await forwarding(upstream).forward(operation, 13, BODY)
    assert (verdict.reply, verdict.error, verdict.sent) == (ACCEPTED, None, sent)
    assert upstream.requests == [("/api/v2/me/outbound-records/13", SAMPLE)] * 2


@pytest.mark.parametrize(
    ("operation", "only", "sent"),
    [
        ("DoNotCallRecord", STATE, 1),
        ("DoNotCallRecord", BROKEN, 1),
        ("DoNotCallRecord", SLOW, 1),
        ("DoNotCallRecord", LoginRefused("wrong password"), 0),
        ("AddRecord", CUT, 1),
        ("AddRecord", HTML_503, 1),
    ],
)
async def test_not_tried_again(operation: str, only: Exception, sent: int) -> None:
    """A statusCode, nonsense, a time-out and a refused login are final; so is any doubt where twice does harm."""
    upstream = ScriptedUpstream(only)
    verdict = await forwarding(upstream).forward(operation, None, BODY)
    assert (verdict.reply, verdict.error, verdict.sent) == (None, only, sent)
    assert len(upstream.requests) == 1


async def test_patience_of_a_waiting_caller_ends() -> None:
    """A caller that waits hears after a few attempts that Web Services is away."""
    upstream = ScriptedUpstream(*[NOT_SENT] * 20)
    verdict = await forwarding(upstream).forward("DoNotCallRecord", 13, BODY)
    assert (verdict.error, verdict.sent, len(upstream.requests)) == (NOT_SENT, 0, PATIENCE)


async def test_persistence_ends_with_the_deadline() -> None:
    """Where nobody waits the deadline alone ends the attempts."""
    upstream = ScriptedUpstream(*[CUT] * 50)
    async with asyncio.timeout(30):  # fifty attempts would take minutes
        verdict = await forwarding(upstream, forward_deadline=1.5).forward("DoNotCallRecord", 13, BODY, persistent=True)
    assert verdict.error is CUT
    assert verdict.sent == len(upstream.requests) > 2


async def test_what_is_no_longer_wanted_is_not_sent_again() -> None:
    """A request that was acknowledged while it waited for its next attempt is left alone."""
    upstream = ScriptedUpstream(CUT)

    async def acknowledged() -> bool:
        return True

    verdict = await forwarding(upstream).forward("DoNotCallRecord", 13, BODY, acknowledged=acknowledged)
    assert (verdict.error, len(upstream.requests)) == (CUT, 1)


async def test_deadline_ends_the_wait_for_a_commit() -> None:
    """An acknowledgement whose transaction does not end, because Kafka is away, holds no caller past the deadline."""
    upstream = ScriptedUpstream(CUT)
    never = asyncio.Event()
    verdict = await forwarding(upstream, forward_deadline=0.5).forward(
        "DoNotCallRecord", 13, BODY, acknowledged=never.wait
    )
    assert (verdict.error, len(upstream.requests)) == (CUT, 1)


async def test_deadline_ends_an_attempt() -> None:
    """A request without an answer at the deadline may have been done: a time-out, counted as sent."""
    verdict = await forwarding(ScriptedUpstream(asyncio.Event()), forward_deadline=0.1).forward(
        "DoNotCallRecord", 13, BODY
    )
    assert isinstance(verdict.error, UpstreamTimeout)
    assert verdict.sent == 1


class Unhurried(ScriptedUpstream):
    """Ends a request only with its reply: no deadline of a caller frees the place of the request."""

    async def forward(self, path: str, body: bytes) -> UpstreamReply:
        reply = asyncio.ensure_future(super().forward(path, body))
        while not reply.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(reply)
        return reply.result()


async def test_concurrency_is_bounded() -> None:
    """No more requests run at a time than the settings say; one that gets no turn in time was not sent."""
    go = asyncio.Event()
    upstream = Unhurried(go, go)
    forwarder = forwarding(upstream, concurrency=2, forward_deadline=0.2)
    running = [asyncio.ensure_future(forwarder.forward("DoNotCallRecord", 13, BODY)) for _ in range(2)]
    await eventually(lambda: upstream.at_once == 2)
    third = await forwarder.forward("DoNotCallRecord", 13, BODY)
    assert isinstance(third.error, UpstreamUnreachable)
    assert (third.error.sent, third.sent) == (False, 0)
    go.set()
    await asyncio.gather(*running)
    assert (len(upstream.requests), upstream.most_at_once) == (2, 2)


def test_waiting_room_is_bounded() -> None:
    """Beyond the turns and the waiting room there is no place, until one is given back."""
    forwarder = forwarding(ScriptedUpstream(), concurrency=1, waiting_room=1)
    forwarder.enter()
    forwarder.enter()
    with pytest.raises(Busy) as busy:
        forwarder.enter()
    assert busy.value.retry_after > 0
    forwarder.leave()
    forwarder.enter()
