import asyncio

import pytest

from bridge.simulator.session import Outcome, Session, covers
from tests.unit.simulator_client import until


def session(*, acknowledged: bool = True) -> Session:
    made = Session("client", user="agent", browser="browser", acknowledged=acknowledged)
    made.subscribe("/**")
    return made


@pytest.mark.parametrize(
    ("subscription", "channel", "expected"),
    [
        ("/v2/me/*", "/v2/me/outbound", True),
        ("/v2/me/*", "/me/internal", False),
        ("/v2/me/*", "/v2/me/a/b", False),
        ("/v2/me/*", "/v2/me", False),
        ("/v2/**", "/v2/me/a/b", True),
        ("/**", "/me/internal", True),
        ("/**", "/meta/connect", False),
        ("/me/internal", "/me/internal", True),
        ("/me/internal", "/me/internals", False),
    ],
)
def test_globbing(subscription: str, channel: str, expected: bool) -> None:  # noqa: FBT001
    """One star is one segment, two stars are one or more, and no glob reaches the meta channels."""
    assert covers(subscription, channel) is expected


def test_unacknowledged_events_come_again_under_a_new_number() -> None:
    """Every reply carries all that is unacknowledged, each time under a greater batch number."""
    one = session()
    one.offer(b"1")
    first = one.close_batch()
    assert one.take() == [b"1"]
    one.offer(b"2")
    second = one.close_batch()
    assert one.take() == [b"1", b"2"]
    assert second > first


def test_acknowledging_drops_that_batch_and_earlier_ones_only() -> None:
    """An acknowledgement of N drops the events with batch <= N and leaves the later ones."""
    one = session()
    for event in (b"1", b"2", b"3"):
        one.offer(event)
        one.close_batch()
    one.acknowledge(2)
    assert one.take() == [b"3"]
    one.acknowledge(1)
    assert one.take() == [b"3"]
    one.acknowledge(3)
    assert one.take() == []


def test_acknowledging_an_open_batch_drops_everything() -> None:
    """A number that the server has not given yet drops all that is queued (BatchArrayQueue.clearToBatch)."""
    one = session()
    one.offer(b"1")
    one.acknowledge(99)
    assert one.queued == 0
    one.offer(b"2")
    assert one.take() == [b"2"]


def test_without_acknowledgement_events_are_given_once() -> None:
    """A session without the extension hands its events over and forgets them."""
    one = session(acknowledged=False)
    one.offer(b"1")
    assert one.take() == [b"1"]
    assert one.take() == []
    assert one.queued == 0


async def test_the_end_of_an_older_poll_starts_no_clock_under_a_newer_one() -> None:
    """While a poll is parked the expiry clock does not run, whoever wants to start it."""
    one = session()
    poll = asyncio.create_task(one.park(10))
    async with asyncio.timeout(30):
        await until(lambda: one.parked)
        one.expire_after(1)
        assert one.expires_at is None
        one.end_poll(Outcome.EVENTS)
        assert await poll is Outcome.EVENTS
    one.expire_after(1)
    assert one.expires_at is not None
