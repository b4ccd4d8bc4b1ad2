"""Gaps and dead letters of the last day, as read from Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from bridge import incidents as module
from bridge.delivery import ConsumedRecord
from bridge.events import DEAD_LETTERS, JSON, Record, dead_letter, session_record
from bridge.incidents import DAY, LONGEST, MOST, Incidents
from bridge.settings import Kafka
from tests.waiting import eventually

NOW = 1_767_268_800.0
SESSIONS = "sessions.v1"


class Topics:
    """What two followers pass on: records by topic, in chunks."""

    def __init__(self) -> None:
        self.records: dict[str, list[ConsumedRecord]] = {SESSIONS: [], DEAD_LETTERS: []}
        self.followed: list[str] = []
        self.failing: str | None = None
        self.caught_up = True

    def follower(self, _: Kafka, topic: str, age: float) -> Any:
        assert age == DAY
        return MemoryFollower(self, topic)

    def add(self, record: Record, at: float = NOW) -> None:
        told = ConsumedRecord(
            f"gws.{record.topic}", 0, 7, int(at * 1000), record.key, dict(record.headers), record.value
        )
        self.records[record.topic].append(told)


class MemoryFollower:
    def __init__(self, topics: Topics, topic: str) -> None:
        self._topics = topics
        self._topic = topic

    @property
    def failing(self) -> str | None:
        return self._topics.failing

    async def run(self, take: Any, caught_up: Any) -> None:
        self._topics.followed.append(self._topic)
        done = 0
        while True:
            records: Sequence[ConsumedRecord] = self._topics.records[self._topic][done:]
            done += len(records)
            await take(records)
            if self._topics.caught_up:
                caught_up()
            await asyncio.sleep(0)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    topics = Topics()
    monkeypatch.setattr(module, "Follower", topics.follower)
    return topics


@pytest_asyncio.fixture
async def incidents(topics: Topics) -> AsyncIterator[Incidents]:
    assert topics
    incidents = Incidents(Kafka(bootstrap_servers="127.0.0.1:1"), JSON, clock=lambda: NOW)
    running = asyncio.create_task(incidents.run())
    yield incidents
    running.cancel()
    await asyncio.wait([running])


def gap(account: str = "agent", at: float = NOW) -> Record:
    return session_record(
        "gap",
        account=account,
        session="new",
        previous_session="old",
        at=at,
        from_=at - 60,
        to=at,
        reason="unknown-client",
    )


def refused(value: bytes = b"{}") -> Record:
    record = Record("user-events.v1", b"key", value, [("ce_id", b"old-1")])
    return dead_letter(record, "too-large", at=NOW)


async def test_nothing_is_read_before_somebody_looks(topics: Topics, incidents: Incidents) -> None:
    """Topics are followed from the first look on; until then a bridge needs no right to read them."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert topics.followed == []
    first = incidents.view()
    assert (first.reading, first.since) == (True, "2025-12-31T12:00:00.000Z")
    await eventually(lambda: not incidents.view().reading)
    assert sorted(topics.followed) == [DEAD_LETTERS, SESSIONS]


async def test_gaps_and_dead_letters_are_kept_and_nothing_else(topics: Topics, incidents: Incidents) -> None:
    """Of the sessions' changes only gaps count. The start of a refused value, which is personal, is not kept."""
    topics.add(session_record("opened", account="agent", session="new", at=NOW))
    topics.add(gap())
    topics.add(refused(b'{"phoneNumber": "5550123"}'))
    incidents.view()
    await eventually(lambda: incidents.view().gaps and incidents.view().refused)
    view = incidents.view()
    [one] = view.gaps
    assert (one.account, one.session, one.previous_session, one.reason) == ("agent", "new", "old", "unknown-client")
    assert (one.start, one.end) == ("2026-01-01T11:59:00.000Z", "2026-01-01T12:00:00.000Z")
    [letter] = view.refused
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == ("too-large", "user-events.v1", 0, 7)
    assert "5550123" not in str(view)


async def test_only_the_last_day_and_the_newest_are_told(topics: Topics, incidents: Incidents) -> None:
    """What is older than a day is not told, the newest come first, and their number is bounded."""
    topics.add(gap("too-old"), NOW - DAY - 1)
    for number in range(MOST + 5):
        topics.add(gap(f"a{number}"), NOW - 500 + number)
    topics.add(gap("late"), NOW - 1000)
    incidents.view()
    await eventually(lambda: not incidents.view().reading and incidents.view().gaps)
    accounts = [one.account for one in incidents.view().gaps]
    assert len(accounts) == MOST
    assert accounts[0] == f"a{MOST + 4}"
    assert accounts[-1] == "late"
    assert "too-old" not in accounts


async def test_foreign_records_are_passed_over(topics: Topics, incidents: Incidents) -> None:
    """What another program wrote stops nothing, and a huge text is cut."""
    for value in (b"", b"\x00\xff", b"[" * 5000, b"{}", b'{"change": "gap"}', b"null"):
        topics.add(Record(SESSIONS, b"x", value, []))
        topics.add(Record(DEAD_LETTERS, b"x", value, []))
    topics.add(gap("x" * 5000))
    incidents.view()
    await eventually(lambda: incidents.view().gaps)
    assert [len(one.account) for one in incidents.view().gaps] == [LONGEST + 1]


async def test_trouble_is_told(topics: Topics, incidents: Incidents) -> None:
    """A topic that can't be read is told with its reason, and is not told as read."""
    topics.failing, topics.caught_up = "TopicAuthorizationFailed", False
    incidents.view()
    await eventually(lambda: len(topics.followed) == 2)
    assert incidents.view().failing == "TopicAuthorizationFailed"
    assert incidents.view().reading
