"""A record of every kind, made by the parts that make them in a running bridge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bridge.cometd import Opening
from bridge.delivery import Position
from bridge.errors import UpstreamRejected
from bridge.relay.session_changes import SessionChanges
from bridge.relay.translation import Translator
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit import upstream_samples as samples
from tests.unit.operation_parts import ACCOUNT, ScriptedUpstream, acknowledgement, running, submission, turn

if TYPE_CHECKING:
    from bridge.events import Record

NO = UpstreamRejected("state", http_status=500, status_code=4, status_message="device d is not registered")
BEFORE = Position("before", {}, 7, 20, 20, 1_767_268_800.0)


async def mixed_run() -> list[Record]:
    """Run the operations, the relay's translation, and the session through all that can happen to them."""
    kafka = MemoryKafka()
    async with running(ScriptedUpstream(), kafka) as service:
        await service.submit(submission())
        await turn(service, acknowledgement(), *(sample.data for sample in samples.SAMPLES), kafka=kafka)
    async with running(ScriptedUpstream(NO), kafka, acknowledgement_timeout=0.1) as service:
        with pytest.raises(UpstreamRejected):
            await service.submit(submission("2"))
        service.correlator(ACCOUNT).turned()
        await service.submit(submission("3"))
        await service.wait("3", 5)
    changes = SessionChanges(ACCOUNT)
    changes.opened(Opening("client", resumed=False, ack_extension=True, reason="unknown-client"), BEFORE)
    changes.opened(Opening("client", resumed=True, ack_extension=True, reason="start"), BEFORE)
    changes.closed("client", "disconnect-on-exit")
    kafka.records.extend(changes.records)
    return [*kafka.records, *await refused()]


async def refused() -> list[Record]:
    """What becomes of records that Kafka finds too large."""
    kafka = MemoryKafka(max_record_bytes=100)
    events = [samples.ACKNOWLEDGEMENT.event, samples.CAMPAIGN_MESSAGE.event]
    publisher, now = MemoryPublisher(kafka, ACCOUNT), time.time()
    await publisher.start()
    translation = Translator(ACCOUNT).translate(events, session="0" * 16, first_sequence=0, received_at=now)
    await publisher.publish(translation.records, BEFORE)
    return kafka.records
