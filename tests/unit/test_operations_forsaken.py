"""Operations that nobody decides on: they end all the same."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bridge.errors import KafkaUnavailable
from bridge.events import operation_record, rfc3339
from bridge.operations import LEDGER_TOPIC
from tests.memory_kafka import MemoryKafka, MemoryLedger
from tests.unit.operation_parts import ACCEPTED, ScriptedUpstream, event, running, submission, told
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.delivery.ledger.follower import Take
    from bridge.events import Status

NOON = 1_767_268_800.0
LIMIT: dict[str, Any] = {"async_max_age": 60.0, "acknowledgement_timeout": 0.2}
DUE = rfc3339(NOON + 60.2)
OFTEN: dict[str, Any] = {"async_max_age": 0.1, "acknowledgement_timeout": 0.1}
"""With these limits the service looks for such operations 20 times a second."""


def left_behind(*statuses: Status, account: str = "gone", reference: str = "1") -> MemoryKafka:
    """A Kafka with the events of an operation that no process relays."""
    kafka = MemoryKafka()
    leave_behind(kafka, *statuses, account=account, reference=reference)
    return kafka


def leave_behind(
    kafka: MemoryKafka, *statuses: Status, account: str = "gone", reference: str = "1", began: float = NOON
) -> None:
    """Add the events of an operation that no process relays."""
    kafka.records += [
        operation_record(
            event(status, reference=reference, account=account, at=rfc3339(began), received_at=rfc3339(began - 1))
        )
        for status in statuses
    ]


def ends(kafka: MemoryKafka, reference: str = "1") -> list[tuple[str, str]]:
    return [(one.status, one.at) for one in told(kafka, reference) if one.status not in {"requested", "accepted"}]


async def test_operation_of_an_unknown_account_ends() -> None:
    """Long after its own process must have ended it, any other process does, though the view keeps nothing that old."""
    kafka = left_behind("requested", "accepted")
    async with running(ScriptedUpstream(), kafka, **LIMIT):
        await eventually(lambda: ends(kafka) == [("timed-out", DUE)])


async def test_an_operation_ends_once() -> None:
    """A later look does not end the operation again: it has ended when the next such operation ends."""
    kafka = left_behind("accepted")
    async with running(ScriptedUpstream(), kafka, **OFTEN):
        await eventually(lambda: ends(kafka))
        leave_behind(kafka, "accepted", reference="2", began=time.time())
        await eventually(lambda: ends(kafka, "2"))
        assert len(ends(kafka)) == 1


async def test_several_tell_the_same() -> None:
    """Two processes that end it at once write one and the same event: consumers know it by its id."""
    kafka = left_behind("accepted")
    other = MemoryKafka()
    other.records += kafka.records
    async with running(ScriptedUpstream(), kafka, **LIMIT), running(ScriptedUpstream(), other, **LIMIT):
        await eventually(lambda: ends(kafka) and ends(other))
    assert [(one.value, one.headers) for one in kafka.records] == [(one.value, one.headers) for one in other.records]


async def test_nobody_is_hurried() -> None:
    """As long as another process may end an operation or forward it again, it is left alone; an older one ends."""
    kafka, limit = left_behind("accepted"), 1000.0
    leave_behind(kafka, "accepted", reference="young", began=time.time() - limit / 2)
    async with running(ScriptedUpstream(), kafka, async_max_age=limit, acknowledgement_timeout=0.1) as service:
        await eventually(lambda: ends(kafka))
        assert service.get("young").status == "accepted"
    assert ends(kafka, "young") == []


class LaggingLedger(MemoryLedger):
    """Hands nothing over that is new while `gate` is closed, once it was at the end."""

    def __init__(self, kafka: MemoryKafka) -> None:
        super().__init__(kafka, LEDGER_TOPIC)
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def catch_up(self) -> None:
        self.asked.set()
        await super().catch_up()

    async def follow(self, take: Take, caught_up: Callable[[], None]) -> None:
        async def late(values: Sequence[ConsumedRecord]) -> int | None:
            if not values:
                return None
            await take(values[:1])
            if values[1:]:
                caught_up()
                await self.gate.wait()
                await take(values[1:])
            return None

        await super().follow(late, lambda: None)


async def test_what_is_not_read_yet_may_have_ended_it() -> None:
    """A process that lags behind the ledger reads on before it ends anything of others."""
    kafka = left_behind("accepted", "acknowledged")
    ledger = LaggingLedger(kafka)
    async with running(ScriptedUpstream(), kafka, ledger=ledger, view_age=1e9, **LIMIT) as service:
        await asyncio.wait_for(ledger.asked.wait(), 5)
        assert service.get("1").status == "accepted"
        ledger.gate.set()
        await eventually(lambda: service.get("1").status == "acknowledged")
    assert [status for status, _ in ends(kafka)] == ["acknowledged"]


class UnreachableLedger(MemoryLedger):
    """Can't be read to its end, the first `failures` times."""

    def __init__(self, kafka: MemoryKafka, failures: int) -> None:
        super().__init__(kafka, LEDGER_TOPIC)
        self.failures = failures

    async def catch_up(self) -> None:
        if self.failures:
            self.failures -= 1
            raise KafkaUnavailable("kafka unreachable")
        assert ends(self._kafka) == []
        await super().catch_up()


async def test_nothing_is_ended_without_kafka() -> None:
    """Where the ledger can't be read, nobody knows whether it has ended: that is asked again."""
    kafka = left_behind("accepted")
    ledger = UnreachableLedger(kafka, failures=2)
    async with running(ScriptedUpstream(), kafka, ledger=ledger, async_max_age=1.0, acknowledgement_timeout=0.1):
        await eventually(lambda: [status for status, _ in ends(kafka)] == ["timed-out"])
    assert ledger.failures == 0


async def test_bridge_without_its_server_ends_what_was_left() -> None:
    """A bridge that starts while Web Services is down ends what it finds; a promise only once it is too old for it."""
    kafka, never = MemoryKafka(), asyncio.Event()
    age: dict[str, Any] = {"acknowledgement_timeout": 0.2, "async_max_age": 60}
    async with running(ScriptedUpstream(ACCEPTED, never), kafka) as service:
        await service.submit(submission("accepted"))
        await service.submit_async(submission("promised"))
    async with running(ScriptedUpstream(), kafka, **age) as service:
        assert (await service.wait("accepted", 5)).status == "timed-out"
        assert service.get("promised").status == "requested"
    async with running(ScriptedUpstream(), kafka, ahead=30, **age) as service:
        assert (await service.wait("promised", 0.5)).status == "requested"
    async with running(ScriptedUpstream(), kafka, ahead=61, **age) as service:
        assert (await service.wait("promised", 5)).status == "timed-out"
