"""The relay loop against a model of the server's ack queue, cut off at every point where it can be."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.delivery import EMPTY_POSITION, LOST
from bridge.errors import Fenced
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import (
    ACCOUNT,
    Crash,
    MortalPublisher,
    Process,
    Server,
    of_type,
    references,
)


def changes(kafka: MemoryKafka) -> list[str]:
    return [msgspec.json.decode(record.value)["change"] for record in of_type(kafka, "session")]


ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 12)),
    st.tuples(st.just("poll"), st.just(0)),
    st.tuples(st.just("lost-reply"), st.just(0)),
    st.tuples(st.just("poll-in-parts"), st.integers(1, 8)),
    st.tuples(st.just("cut-in-the-middle"), st.integers(0, 3)),
    st.tuples(st.just("crash-before"), st.integers(0, 4)),
    st.tuples(st.just("crash-after"), st.integers(0, 4)),
)


@settings(max_examples=150)
@given(st.lists(ACTIONS, max_size=40))
def test_nothing_is_missing_and_nothing_comes_twice(actions: list[tuple[str, int]]) -> None:
    """Whatever the crashes and lost replies, each event of the session is in Kafka once, in order, under its own id."""
    asyncio.run(exactly_once(actions))


async def exactly_once(actions: list[tuple[str, int]]) -> None:
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    for action, number in actions:
        if action == "send":
            server.send(number)
        elif action == "poll":
            await process.poll()
        elif action == "lost-reply":
            process.lose_reply()
        elif action == "poll-in-parts":
            await process.poll_in_parts(number)
        elif action == "cut-in-the-middle":
            await process.poll_in_parts(2, cut_after=number)
        else:
            await process.end()
            mortal = MortalPublisher(kafka, number, after_commit=action == "crash-after")
            process = Process(server, mortal)
            try:
                await process.start()
                for _ in range(3):
                    server.send(4)
                    await process.poll_in_parts(2)
            except Crash:
                await process.end()
                process = Process(server, MemoryPublisher(kafka, ACCOUNT))
                await process.start()
    await process.poll()
    await process.end()
    ids = [dict(record.headers)["ce_id"] for record in of_type(kafka, "acknowledgement")]
    assert references(kafka) == server.sent[0]
    assert len(ids) == len(set(ids))
    assert server.sessions == 1
    assert "gap" not in changes(kafka)


async def test_a_process_that_ends_before_its_first_poll_leaves_its_session() -> None:
    """The session is in Kafka before the first poll. The next process resumes it, with what was sent meanwhile."""
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.open()
    await process.end()
    server.send(2)
    successor = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await successor.start()
    await successor.end()
    assert server.sessions == 1
    assert references(kafka) == server.sent[0]
    assert changes(kafka) == ["opened", "resumed"]


async def test_a_session_that_is_lost_before_its_first_poll_is_told() -> None:
    """Events may have waited in it, so its loss has a gap, which begins at its handshake."""
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.open()
    await process.end()
    server.open()
    opened_at = time.time()
    successor = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await successor.start()
    await successor.end()
    assert changes(kafka) == ["opened", "lost", "gap", "opened"]
    gap = msgspec.json.decode(of_type(kafka, "session")[2].value)
    assert abs(datetime.fromisoformat(gap["from"]).timestamp() - opened_at) < 5


async def test_a_lost_session_is_told_before_the_new_one_speaks() -> None:
    """The events of a loss are lost, gap, opened, in this order, before the first event of the new session."""
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    server.send(2)
    await process.poll()
    before = time.time()
    server.send(1)  # into the session that is lost with it
    await process.lose_session()
    server.send(1)
    await process.poll()
    await process.end()
    assert changes(kafka) == ["opened", "lost", "gap", "opened"]
    assert references(kafka) == ["client-1:0", "client-1:1", "client-2:0"]
    kinds = [dict(record.headers)["ce_type"].decode() for record in kafka.records]
    assert kinds[-4:] == ["gws.session.v1"] * 3 + ["gws.acknowledgement.v1"]
    gap = msgspec.json.decode(of_type(kafka, "session")[2].value)
    opened = msgspec.json.decode(of_type(kafka, "session")[3].value)
    assert gap["from"] <= gap["to"]
    assert abs(datetime.fromisoformat(gap["from"]).timestamp() - before) < 5
    assert gap["session"] == opened["session"]
    assert gap["previousSession"] == opened["previousSession"] == msgspec.json.decode(kafka.records[0].value)["session"]


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_crash_while_a_loss_is_told_tells_it_once(*, after_commit: bool) -> None:
    """A process that dies on either side of the commit that tells of a gap leaves exactly one gap for that loss."""
    server, kafka = Server(), MemoryKafka()
    process = Process(server, MortalPublisher(kafka, 1, after_commit=after_commit))
    await process.start()
    with pytest.raises(Crash):
        await process.lose_session()
    await process.end()
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    await process.end()
    assert changes(kafka).count("gap") == changes(kafka).count("lost") == 1


async def test_the_later_of_two_bridges_has_the_account() -> None:
    """The first bridge's next turn fails with Fenced, publishes nothing, and the second one publishes it once."""
    server, kafka = Server(), MemoryKafka()
    first = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await first.start()
    second = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await second.start()
    server.send(3)
    with pytest.raises(Fenced):
        await first.poll()
    await second.poll()
    await first.end()
    await second.end()
    assert references(kafka) == server.sent[0]
    assert changes(kafka) == ["opened", "resumed"]


async def test_an_end_on_purpose_leaves_no_gap() -> None:
    """The position that a deliberate end leaves makes the next start an opening, not a loss."""
    server, kafka = Server(), MemoryKafka()
    kafka.positions[ACCOUNT] = EMPTY_POSITION
    process = Process(server, MemoryPublisher(kafka, ACCOUNT))
    await process.start()
    await process.end()
    assert changes(kafka) == ["opened"]


async def test_a_loss_at_an_unknown_time_is_told() -> None:
    """Where nothing tells when an earlier session was lost, the gap says so, once, before the new session."""
    server, kafka = Server(), MemoryKafka()
    kafka.positions[ACCOUNT] = LOST
    for _ in range(2):
        process = Process(server, MemoryPublisher(kafka, ACCOUNT))
        await process.start()
        await process.end()
    assert changes(kafka) == ["gap", "opened", "resumed"]
    gap = msgspec.json.decode(of_type(kafka, "session")[0].value)
    assert gap["from"] is None
    assert gap["to"] is not None
