"""The relay asks its correlator inside each turn, and publishes what it says in the turn's own transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.events import Record
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import Crash, MortalPublisher, Process, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.webservices import Message


class Answers:
    """A correlator that answers each turn with one record, and keeps what it is told."""

    def __init__(self, kafka: MemoryKafka, needed: int | None = None) -> None:
        self._kafka = kafka
        self.needed = needed
        self.told: list[str] = []
        self.ids: list[str] = []
        """The sequences of the records that `match` got."""
        self.committed_at: list[int] = []
        """How many records were in Kafka at each commit."""

    def start(self) -> None:
        self.told.append("start")

    async def match(self, messages: Sequence[Message], records: Sequence[Record]) -> Answer:
        assert len(messages) == len(records)
        self.told.append(f"match {len(messages)}")
        self.ids += [dict(record.headers)["ce_id"].decode().rpartition("-")[2] for record in records]
        return Answer(self)

    def turned(self) -> None:
        self.told.append("turned")

    def stop(self) -> None:
        self.told.append("stop")

    def committed(self) -> None:
        self.told.append("committed")
        self.committed_at.append(len(self._kafka.records))


class Answer:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.records = [Record("operations.v1", b"k", b"{}", [])]

    def revise(self, _: Record, letter: Record) -> None:
        self._answers.told.append(f"revise {letter.topic}")

    def committed(self) -> None:
        self._answers.committed()


def process(server: Server, publisher: MemoryPublisher, answers: Answers) -> Process:
    one = Process(server, publisher)
    one.relay.correlator = answers
    return one


async def test_answer_is_in_the_same_transaction() -> None:
    """What a turn's events mean is committed with them, chunk by chunk, and told as committed only then."""
    kafka, server = MemoryKafka(), Server()
    answers = Answers(kafka)
    one = process(server, MemoryPublisher(kafka, "agent"), answers)
    await one.start()
    server.send(5)  # chunks of 3
    await one.poll()
    await one.end()
    assert answers.told == [
        "start",
        "turned",
        "match 3",
        "committed",
        "match 2",
        "committed",
        "turned",
    ]
    topics = [record.topic for record in kafka.records if record.topic != "sessions.v1"]
    assert topics == [*["acknowledgements.v1"] * 3, "operations.v1", *["acknowledgements.v1"] * 2, "operations.v1"]
    sessions = len(kafka.records) - len(topics)
    assert answers.committed_at == [sessions + 4, sessions + 7]


@pytest.mark.parametrize(("needed", "ids"), [(None, ["0", "1", "2", "3", "4"]), (2, ["1", "2", "3", "4"]), (0, [])])
async def test_a_correlator_gets_what_it_needs(needed: int | None, ids: list[str]) -> None:
    """The relay hands the newest messages of each transaction over with their records, as many as are needed."""
    kafka, server = MemoryKafka(), Server()
    answers = Answers(kafka, needed)
    one = process(server, MemoryPublisher(kafka, "agent"), answers)
    await one.start()
    server.send(5)  # chunks of 3
    await one.poll()
    await one.end()
    assert answers.ids == ids


@pytest.mark.parametrize("after_commit", [False, True])
async def test_cut_off_turn_is_not_told_as_committed(*, after_commit: bool) -> None:
    """A turn whose publish does not return is never told as committed, wherever it was cut off."""
    kafka, server = MemoryKafka(), Server()
    answers = Answers(kafka)
    one = process(server, MortalPublisher(kafka, 1, after_commit=after_commit), answers)
    await one.start()
    server.send(2)
    with pytest.raises(Crash):
        await one.poll()
    await one.end()
    assert "committed" not in answers.told
