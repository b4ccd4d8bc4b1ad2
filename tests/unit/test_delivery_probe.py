"""The regular question whether Kafka can be used, while brokers come and go."""

import asyncio
from contextlib import suppress

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from bridge.delivery import KafkaProbe
from bridge.delivery.client import probe
from bridge.delivery.client.rights import view_cluster
from bridge.settings import Kafka
from bridge.simulator import EmbeddedBroker
from tests.waiting import eventually


class Cluster:
    """What the probe asks. The questions with these numbers, from 1, meet a broker that has just gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *gone: int) -> None:
        self.asked = 0
        self._gone = gone
        monkeypatch.setattr(probe, "view_cluster", self.view)
        monkeypatch.setattr(probe, "INTERVAL", 0.01)

    async def view(self, *arguments: object) -> object:
        """Answer, or fail."""
        self.asked += 1
        if self.asked in self._gone:
            raise KafkaConnectionError
        return await view_cluster(*arguments)  # type: ignore[arg-type]


async def findings(broker: EmbeddedBroker, cluster: Cluster, *, questions: int) -> list[str]:
    """The faults that a probe logs until so many questions are asked."""
    asking = KafkaProbe(Kafka(bootstrap_servers=broker.bootstrap, topic_prefix="p"), ["agent"])
    with capture_logs() as logs:
        running = asyncio.create_task(asking.run())
        try:
            await eventually(lambda: cluster.asked > questions)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    return [line["reason"] for line in logs if line["event"] == "kafka-unusable"]


async def test_one_broker_of_several_goes(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka stays usable while another broker answers: a rolling restart must not make every replica unready."""
    assert await findings(broker, Cluster(monkeypatch, 3, 4), questions=6) == []


async def test_no_broker_answers(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any answer for a while Kafka is unusable, even if a broker accepts connections."""
    monkeypatch.setattr(probe, "PATIENCE", 0.1)
    assert await findings(broker, Cluster(monkeypatch, *range(3, 100)), questions=6) == ["kafka unreachable"]
