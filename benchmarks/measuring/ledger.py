"""Operations on the ledger, as a bridge leaves them: written here, because to post them all would take minutes."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
from pydantic import SecretStr

from benchmarks.measuring.site import PASSWORD, USER
from bridge.delivery import AccountKeys, KafkaLedger
from bridge.events import Operation, Upstream, rfc3339_milliseconds
from bridge.operations import LEDGER_TOPIC, OperationRecords
from bridge.settings import Kafka
from tests.page import REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measuring.site import Site
    from bridge.events import Record
    from bridge.events.kinds.operation import Status

STATUSES: Final[tuple[Status, ...]] = ("requested", "accepted", "acknowledged")
"""The events of an operation. Kafka compacts them to the last one only when it has closed their segment."""
AT_ONCE: Final = 1_500
DEADLINE: Final = 120.0


async def write_operations(site: Site, prefix: str, count: int) -> None:
    """Write the events of `count` acknowledged operations, signed as the account's bridge signs them."""
    settings = Kafka(bootstrap_servers=site.kafka.bootstrap, topic_prefix=prefix)
    keys = AccountKeys(USER, SecretStr(PASSWORD), prefix)
    await keys.start("ledger")
    ledger = KafkaLedger(settings, LEDGER_TOPIC)
    made = _records(OperationRecords(keys={USER: keys}), count)
    try:
        async with asyncio.timeout(DEADLINE):
            while records := list(islice(made, AT_ONCE)):
                await ledger.append(records)
    finally:
        await ledger.stop()


def _records(records: OperationRecords, count: int) -> Iterator[Record]:
    now = rfc3339_milliseconds(round(time.time() * 1000))
    for number in range(count):
        reference = f"ledger-{number}"
        request = msgspec.Raw(msgspec.json.encode(REQUEST | {"referenceId": reference}))
        for status in STATUSES:
            yield records.record(
                Operation(
                    reference_id=reference,
                    operation=REQUEST["operationName"],
                    status=status,
                    at=now,
                    account=USER,
                    received_at=now,
                    requested_by=None,
                    record_handle=number,
                    request=request,
                    upstream=None if status == "requested" else Upstream(200, 0, None),
                )
            )
