"""What was published to the CometD server, against what read_committed consumers of Kafka got. All faults share it."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp
import msgspec

from bridge.delivery import ConsumedRecord, read
from bridge.settings import Kafka
from tests.faults.follower import Follower
from tests.real import RealWebServices
from tests.waiting import pause_after

PHONE = "+4930901820"
"""In every event that the ledger makes itself: it must never show in a log."""
RELAYED = ("acknowledgements.v1", "user-events.v1", "unrecognized.v1", "dead-letters.v1")
SESSIONS = "sessions.v1"
TOPICS = (*RELAYED, SESSIONS)
_SHOWN = 5


@dataclass(frozen=True)
class Publication:
    """Events with the references `first` to `first + count - 1`, published from `began` to `ended` (epoch seconds).

    Not `certain`: the server died over it, and may have published any number of them.
    """

    first: int
    count: int
    began: float
    ended: float
    certain: bool = True


class Content(msgspec.Struct, frozen=True, rename="camel"):
    """What the ledger reads of any relayed event, a dead letter (`sha256`) too."""

    reference_id: str | None = None
    original: msgspec.Raw = msgspec.Raw()
    sha256: str | None = None
    reason: str | None = None


class SessionEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A session event, as published."""

    change: str
    session: str
    previous_session: str | None = None
    from_: datetime | None = msgspec.field(name="from", default=None)
    to: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Seen:
    """One record as a consumer gets it; `topic` without the prefix, `timestamp` in ms since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    event_id: str
    content: Content

    @property
    def numbered(self) -> bool:
        """Whether it has one of the ledger's references."""
        return (self.content.reference_id or "").isdigit()

    @property
    def identity(self) -> bytes:
        """What tells the event from every other one, whatever id the bridge gave it."""
        return bytes(self.content.original) or (self.content.sha256 or "").encode()


@dataclass
class Account:
    """The comparison at one moment. Events published while there was no session are `lost`: a gap tells of them."""

    seen: list[Seen]
    sessions: list[SessionEvent]
    missing: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    doubled_ids: list[str] = field(default_factory=list)
    doubled_contents: list[bytes] = field(default_factory=list)
    renamed: list[bytes] = field(default_factory=list)
    """Contents that came under two ids: no consumer could tell that they are one event."""
    disordered: list[bytes] = field(default_factory=list)
    """Keys whose events came in another order than they were published in."""
    strangers: list[int] = field(default_factory=list)
    """References that nobody published."""

    @property
    def changes(self) -> list[str]:
        """The changes of the session events, in order; without `resumed`, of which each start makes one."""
        return [event.change for event in self.sessions if event.change != "resumed"]

    @property
    def gaps(self) -> list[SessionEvent]:
        """The gaps, in order."""
        return [event for event in self.sessions if event.change == "gap"]

    def faults(self, *, doubles: bool = False) -> list[str]:
        """What is wrong, one line each; with `doubles` an event may come again under the same id (at-least-once)."""
        checked = ["missing", "renamed", "strangers"]
        checked += [] if doubles else ["doubled_ids", "doubled_contents", "disordered"]
        found = [(name, getattr(self, name)) for name in checked]
        return [f"{len(items)} {name}, such as {items[:_SHOWN]}" for name, items in found if items]

    def __str__(self) -> str:
        return (
            f"{len(self.seen)} events seen, {len(self.missing)} missing, {len(self.doubled_ids)} twice by id, "
            f"{len(self.doubled_contents)} twice by content, {len(self.disordered)} keys out of order, "
            f"{len(self.gaps)} gaps with {len(self.lost)} events lost"
        )


class Ledger:
    """Publishes numbered events and finds them again in Kafka."""

    def __init__(self, kafka: Kafka, web: RealWebServices) -> None:
        self._kafka = kafka
        self._web = web
        self.taken = 0
        """How many references were given out, those of a publication that is still running too."""
        self.publications: list[Publication] = []
        self._follower = Follower(kafka, TOPICS)
        self._following = asyncio.Lock()
        self._seen: list[Seen] = []
        """What the follower has read so far."""
        self._sessions: list[SessionEvent] = []

    async def generate(self, count: int, *, keys: int = 50, rate: float = 0.0, pad: int = 0) -> Publication:
        """Let the server make this many events (`RealWebServices.generate`), a multiple of `keys`.

        An aiohttp.ClientError, when the server died over it, is noted in the ledger, and raised.
        """
        assert count % keys == 0, "a key's events must keep their order over several calls"
        first, began, certain = self._take(count), time.time(), False
        try:
            await self._web.generate(count, keys=keys, start=first, rate=rate, pad=pad)
            certain = True
        finally:
            publication = Publication(first, count, began, time.time(), certain)
            self.publications.append(publication)
        return publication

    async def publish(
        self, count: int = 1, *, keys: int = 5, user: str | None = None, first_handle: int = 0
    ) -> Publication:
        """Publish events of the ledger's own, with phone numbers in them, together.

        Their record handles are the `keys` numbers from `first_handle` on. With `user` they are one account's alone.
        """
        first, began = self._take(count), time.time()
        await self._web.publish_all(
            [
                ("/v2/me/outbound", acknowledgement(number, handle=first_handle + number % keys))
                for number in range(first, first + count)
            ],
            user=user,
        )
        publication = Publication(first, count, began, time.time())
        self.publications.append(publication)
        return publication

    def _take(self, count: int) -> int:
        first = self.taken
        self.taken += count
        return first

    async def arrived(self, count: int) -> None:
        """Wait until `count` events with references are in Kafka."""
        await self._followed(lambda: sum(one.numbered for one in self._seen) >= count)

    async def complete(self) -> None:
        """Wait until nothing is missing in Kafka."""
        await self._followed(lambda: not compare(self.publications, self._seen, self._sessions).missing)

    async def _followed(self, condition: Callable[[], bool]) -> None:
        """Read on until the condition holds. It takes time, so more is read before it is asked again."""
        async with self._following, aclosing(self._follower.read()) as reading:
            while True:
                began = time.monotonic()
                if condition():
                    return
                await pause_after(began)
                self._note(await anext(reading), self._seen, self._sessions)

    async def account(self) -> Account:
        """Read everything that is committed in Kafka, and compare."""
        seen: list[Seen] = []
        sessions: list[SessionEvent] = []
        topics = [f"{self._kafka.topic_prefix}.{topic}" for topic in TOPICS]
        async with aclosing(read(self._kafka, topics, from_beginning=True, until_end=True)) as records:
            async for record in records:
                self._note([record], seen, sessions)
        return compare(self.publications, seen, sessions)

    def _note(self, records: Iterable[ConsumedRecord], seen: list[Seen], sessions: list[SessionEvent]) -> None:
        """Put each record to the others of its kind."""
        for record in records:
            topic = record.topic.removeprefix(f"{self._kafka.topic_prefix}.")
            if topic == SESSIONS:
                sessions.append(msgspec.json.decode(record.value or b"", type=SessionEvent))
            else:
                seen.append(_seen(topic, record))

    async def references(self) -> list[int]:
        """The references that are in Kafka now, in no order."""
        return [_reference(one) for one in (await self.account()).seen if one.numbered]


def compare(publications: list[Publication], seen: list[Seen], sessions: list[SessionEvent]) -> Account:
    """Do the ledger's arithmetic. Records of one partition must be given in the order of their offsets."""
    account = Account(seen, sessions)
    ids = Counter(one.event_id for one in seen)
    names: defaultdict[bytes, Counter[str]] = defaultdict(Counter)
    by_key: defaultdict[tuple[str, bytes], list[int]] = defaultdict(list)
    for one in seen:
        names[one.identity][one.event_id] += 1
        if one.numbered:
            by_key[one.topic, one.key].append(_reference(one))
    account.doubled_ids = [event_id for event_id, count in ids.items() if count > 1]
    account.doubled_contents = [identity for identity, under in names.items() if under.total() > 1]
    account.renamed = [identity for identity, under in names.items() if len(under) > 1]
    account.disordered = [key for (_, key), numbers in by_key.items() if numbers != sorted(numbers)]
    found = {number for numbers in by_key.values() for number in numbers}
    published = set[int]()
    for publication in publications:
        numbers = range(publication.first, publication.first + publication.count)
        published.update(numbers)
        if publication.certain:
            absent = [number for number in numbers if number not in found]
            (account.lost if _in_a_gap(publication, account.gaps) else account.missing).extend(absent)
    account.strangers = sorted(found - published)
    return account


def _in_a_gap(publication: Publication, gaps: list[SessionEvent]) -> bool:
    return any(
        gap.from_ is not None
        and gap.to is not None
        and gap.from_.timestamp() <= publication.ended
        and publication.began <= gap.to.timestamp()
        for gap in gaps
    )


def _seen(topic: str, record: ConsumedRecord) -> Seen:
    return Seen(
        topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key or b"",
        record.headers["ce_id"].decode(),
        msgspec.json.decode(record.value or b"", type=Content),
    )


def _reference(one: Seen) -> int:
    return int(one.content.reference_id or "")


def acknowledgement(number: int, *, handle: int, **more: object) -> dict[str, object]:
    """An OutboundRecordMessage with this reference and record handle; `more` fields beside them."""
    return {
        "record": {"applicationId": 134, "campaignName": "Campaign1", "recordHandle": handle, "phoneNumber": PHONE},
        "notificationType": "DoNotCallAcknowledge",
        "messageType": "OutboundRecordMessage",
        "referenceId": str(number),
        **more,
    }


NETWORK = (aiohttp.ClientError, TimeoutError)
"""What a call of a server that dies fails with."""
