"""Evidence about real operations: what the bundles say is what the topics say, faults included."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from pydantic import SecretStr

from bridge.app import Bridge
from bridge.delivery import AccountKeys, ConsumedRecord, read
from bridge.events import JSON
from bridge.evidence import (
    Bundle,
    EvidenceMaker,
    KafkaSource,
    Outcome,
    decode,
    still_in_kafka,
    verify,
)
from bridge.evidence.bundle import OperationHistory
from bridge.operations import signature_check
from bridge.settings import Evidence, Http, Kafka, Settings, WebServices
from bridge.simulator import Fault, Simulator
from tests.evidence_parts import Topics, collector, key_file
from tests.page import REQUEST
from tests.real import KafkaServer

OPERATIONS = 1_000
AT_ONCE = 24
TIMEOUT = 1.5
"""Seconds until an operation without an acknowledgement times out."""
LATE = 2 * TIMEOUT
"""Seconds by which a late acknowledgement comes later."""
SAMPLE = 25
"""Every how manieth operation has a bundle made from Kafka, through the REST side."""
ALONE = 5
"""Every how manieth operation is searched for alone among all records. The faults come at other intervals."""
FAULTS = (
    Fault("forbidden-3", "rest", every=9),
    Fault("acknowledgement-missing", "rest", every=11, after=3),
    Fault("acknowledgement-doubled", "rest", every=7, after=2),
    Fault("acknowledgement-late", "rest", every=13, after=5, delay=LATE),
)


@dataclass
class Truth:
    """What the topics say about an operation, read without any code of the bridge's evidence."""

    statuses: list[str] = field(default_factory=list)
    attempts: set[int] = field(default_factory=set)
    acknowledgements: list[tuple[str, int, int]] = field(default_factory=list)
    """The receivedAt, partition and offset of each."""
    begin: str = ""
    answer: Any = None


class Cluster(Topics):
    """The records of a real cluster, read once, as a source for many bundles."""

    def __init__(self, records: list[ConsumedRecord], prefix: str) -> None:
        super().__init__()
        self._prefix = f"{prefix}."
        self.records = [self._renamed(one) for one in records]

    def _renamed(self, one: ConsumedRecord) -> ConsumedRecord:
        topic = f"gws.{one.topic.removeprefix(self._prefix)}"
        return ConsumedRecord(topic, one.partition, one.offset, one.timestamp, one.key, one.headers, one.value)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """Run a bridge; yields the URL of its REST side, once it is ready."""
    end, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    bridge = Bridge(settings)
    running = asyncio.create_task(bridge.run(end, disconnect_on_exit=True, listening=listening.set_result))
    try:
        url = await listening
        async with asyncio.timeout(30):
            while bridge.status.readiness():  # noqa: ASYNC110 -- readiness has no event
                await asyncio.sleep(0.05)
        yield url
    finally:
        end.set()
        await running


async def everything(settings: Kafka) -> list[ConsumedRecord]:
    async with aclosing(read(settings, from_beginning=True, until_end=True)) as records:
        return [record async for record in records]


def truths(records: list[ConsumedRecord]) -> tuple[dict[str, Truth], list[tuple[str, str]]]:
    """What an independent reading of the topics gives: each operation, and the gaps."""
    found: dict[str, Truth] = defaultdict(Truth)
    gaps = []
    for record in records:
        value = msgspec.json.decode(record.value or b"")
        if record.topic.endswith(".operations.v1"):
            one = found[value["referenceId"]]
            one.statuses.append(value["status"])
            one.attempts.add(value["attempt"])
            one.begin = value["receivedAt"]
            one.answer = value["upstream"] or one.answer
        elif record.topic.endswith(".acknowledgements.v1"):
            place = (value["receivedAt"], record.partition, record.offset)
            found[value["referenceId"]].acknowledgements.append(place)
        elif record.topic.endswith(".sessions.v1") and value["change"] == "gap":
            gaps.append((value["from"], value["to"]))
    return found, gaps


def check(bundle: Bundle, reference: str, truth: Truth, gaps: list[tuple[str, str]]) -> OperationHistory:
    """Compare a bundle with the truth."""
    [history] = [one for one in bundle.operations if one.reference_id == reference]
    assert sorted(event.status for event in history.events) == sorted(truth.statuses)
    assert {event.signature for event in history.events} == {"valid"}
    assert history.received_at == truth.begin
    assert history.answer is not None
    assert (history.answer.http_status, history.answer.status_code) == (
        truth.answer["httpStatus"],
        truth.answer["statusCode"],
    )
    first = min(truth.acknowledgements, default=None)
    if first is None:
        assert history.acknowledgement is None
        assert history.status == ("rejected" if "rejected" in truth.statuses else "timed-out")
    else:
        assert history.acknowledgement is not None
        place = history.acknowledgement.record
        assert (history.acknowledgement.received_at, place.partition, place.offset) == first
        assert (history.status, history.verdict) == ("acknowledged", "in-time")
        assert history.late == ("timed-out" in truth.statuses)
    doubled = any(
        one.what == "acknowledged-again" and f"acknowledged {reference} " in one.text for one in bundle.contradictions
    )
    assert doubled == (len(truth.acknowledgements) > 1)
    if history.status == "rejected":
        return history
    until = "9999" if first is None else first[0]
    waited = sorted(to for since, to in gaps if truth.begin <= to and until >= since)
    assert sorted(str(gap.until) for gap in bundle.gaps if reference in gap.operations) == waited
    return history


async def call(client: aiohttp.ClientSession, url: str, number: int) -> None:
    body = REQUEST | {"referenceId": f"list-{number}"}
    async with client.post(f"{url}/api/v2/me/outbound-records/{number}", json=body) as reply:
        await reply.read()


async def test_bundles_say_what_the_topics_say(real_kafka: KafkaServer, tmp_path: Any) -> None:
    """The bundles of 1,000 operations are true, of refused, timed-out, late and doubled ones, and in a lost session.

    Each bundle has the events, the acknowledgement and the gaps that a separate reading of the topics finds.
    """
    async with Simulator(username="agent", password="secret") as upstream:
        for fault in FAULTS:
            upstream.faults.add(fault)
        settings = Settings(
            web_services=WebServices(url=upstream.url, username="agent", password=SecretStr("secret")),
            kafka=Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix="evidence", partitions=3),
            http=Http(port=0),
            operations={"acknowledgement_timeout": TIMEOUT},  # type: ignore[arg-type]
            evidence=Evidence(key_file=key_file(tmp_path)),
        )
        async with running(settings) as url, aiohttp.ClientSession() as client:
            free = asyncio.Semaphore(AT_ONCE)

            async def one(number: int) -> None:
                async with free:
                    if number in {OPERATIONS // 3, 2 * OPERATIONS // 3}:
                        upstream.expire_sessions()
                    await call(client, url, number)

            async with asyncio.TaskGroup() as group:
                for number in range(OPERATIONS):
                    group.create_task(one(number))
            # A last acknowledgement, as late as all others, shows that every other one has come.
            upstream.faults.clear()
            upstream.faults.add(Fault("acknowledgement-late", "rest", delay=LATE))
            await call(client, url, OPERATIONS)
            async with asyncio.timeout(60):
                while not await ended(client, url):  # noqa: ASYNC110 -- the REST side has no event
                    await asyncio.sleep(0.1)
            files = {}
            for number in range(0, OPERATIONS, SAMPLE):
                async with client.get(f"{url}/operations/list-{number}/evidence") as reply:
                    assert reply.status == 200, await reply.text()
                    files[f"list-{number}"] = await reply.read()
            async with client.get(f"{url}/operations/none/evidence") as reply:
                assert (reply.status, (await reply.json())["code"]) == (404, "no-evidence")
    records = await everything(settings.kafka)
    found, gaps = truths(records)
    assert len(found) == OPERATIONS + 1
    seen = Counter(status for one in found.values() for status in set(one.statuses))
    assert min(seen[status] for status in ("rejected", "timed-out", "acknowledged")) > 50
    assert sum(len(one.acknowledgements) > 1 for one in found.values()) > 50
    assert gaps
    keys = {"agent": AccountKeys("agent", SecretStr("secret"), "evidence")}
    maker = EvidenceMaker(settings, JSON, signature_check(keys))
    whole = await maker.collector([KafkaSource(settings.kafka)]).collect("job", "list")
    histories = {reference: check(whole, reference, truth, gaps) for reference, truth in found.items()}
    waited = sum(any(reference in gap.operations for gap in whole.gaps) for reference in found)
    assert waited > 10
    for reference, content in files.items():
        assert not [one for one in verify(content) if one.outcome is Outcome.FAILED]
        check(decode(content).bundle, reference, found[reference], gaps)
    for reference, truth in itertools.islice(found.items(), 0, None, ALONE):
        alone = await collector(Cluster(records, "evidence")).collect("reference", reference)
        [history] = alone.operations
        assert history.status == histories[reference].status
        assert len(truth.statuses) == len(history.events)
    assert [one.outcome for one in await still_in_kafka(whole, settings.kafka)] == [Outcome.OK]


async def ended(client: aiohttp.ClientSession, url: str) -> bool:
    """Whether the last operation is acknowledged, and no other one waits."""
    async with client.get(f"{url}/operations/list-{OPERATIONS}") as reply:
        if (await reply.json())["status"] != "acknowledged":
            return False
    for status in ("requested", "accepted"):
        async with client.get(f"{url}/operations?status={status}") as reply:
            if (await reply.json())["operations"]:
                return False
    return True
