"""Records on `operations.v1` that anybody with the right to write there may have put there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import Record
from bridge.http import create_app
from bridge.operations import LEDGER_TOPIC
from tests.fuzz import published
from tests.fuzz.asgi import call
from tests.fuzz.budget import fuzzed
from tests.fuzz.strategies import bodies, sweep
from tests.memory_kafka import MemoryKafka
from tests.unit.operation_parts import (
    ScriptedUpstream,
    acknowledgement,
    event,
    listed,
    running,
    submission,
    turn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

STATUSES = ("requested", "accepted", "rejected", "acknowledged", "timed-out")


def documents() -> list[dict[str, Any]]:
    """An event of each status, as the bridge itself writes them; one is of an account that nobody has."""
    events = [event(status, reference=f"old-{status}", asynchronous=True) for status in STATUSES]
    events.append(event("requested", reference="old-foreign", account="nobody", sealed_request="AAAA"))
    return [msgspec.json.decode(msgspec.json.encode(one)) for one in events]


headers = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=24)), max_size=2)
records = st.builds(
    lambda value, key, more: Record(LEDGER_TOPIC, key, value, more),
    bodies(*documents()),
    st.one_of(st.just(b"old"), st.binary(max_size=8)),
    headers,
)


async def lived_with(forged: Sequence[Record]) -> None:
    """Start on a ledger with these records, and use all that the operations can do."""
    kafka = MemoryKafka()
    before, after = list(forged)[::2], list(forged)[1::2]
    kafka.records.extend(before)
    async with running(ScriptedUpstream(), kafka, acknowledgement_timeout=0.04, async_max_age=0.01) as service:
        app = create_app(service, readiness=list, session_views=list)
        kafka.records.extend(after)
        view = await service.submit(submission("good"))
        assert view.status == "accepted"
        [acknowledged] = await turn(service, acknowledgement("good"), kafka=kafka)
        assert acknowledged.status == "acknowledged"
        await turn(service, acknowledgement("old-requested"), acknowledgement(None), kafka=kafka)
        seen = await listed(service)
        for path in ("/operations", "/operations?status=requested", *(f"/operations/{quoted(seen)}",)):
            answered = await call(app, "GET", path)
            assert answered.status in {200, 404, 422}, (path, answered.body)
            msgspec.json.decode(answered.body)
        assert (await call(app, "GET", "/operations/good")).status == 200
        await service.submit_async(submission("later"))
        await service.wait("later", 5)
    written = [one for one in kafka.records if one not in forged]
    published.check(written)


def quoted(seen: Sequence[Any]) -> str:
    """The reference of the newest operation that is not the test's own, as it stands in a path."""
    names = [one.reference_id for one in seen if one.reference_id != "good"]
    return "".join(f"%{byte:02x}" for byte in names[0].encode()) if names else "none"


def test_no_single_odd_value_on_the_ledger_ends_the_bridge() -> None:
    """Each member of an operation's event may hold each odd value: the bridge starts on all of them together."""
    forged = [
        Record(LEDGER_TOPIC, b"old", value.replace(b'"old-', b'"%d-' % number, 1), [])
        for document in documents()
        for number, (_, value) in enumerate(sweep(document))
    ]
    asyncio.run(lived_with(forged))


@fuzzed(40)
@given(st.lists(records, min_size=1, max_size=8))
def test_no_record_on_the_ledger_ends_the_bridge(forged: list[Record]) -> None:
    """Forged records leave the service alive at start and while it runs; its own operations go on, and stay valid."""
    asyncio.run(lived_with(forged))
