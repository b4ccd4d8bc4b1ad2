"""Collects the bundle of a subject: finds its records, and puts together the history of each operation."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from bridge import __version__
from bridge.errors import NoSuchEvidence, TooMuchEvidence, UnusableInput
from bridge.events import (
    DEAD_LETTERS,
    acknowledgement,
    avro_schema_files,
    full_topic,
    operation,
    rfc3339,
    rfc3339_milliseconds,
    schema_files,
    session,
    user_event,
)
from bridge.evidence.bundle import Bundle, Head, Missing, Schema, Subject, stored
from bridge.evidence.content import Found, content_of, named_in
from bridge.evidence.contradictions import contradictions_in, gaps_in, missing_in
from bridge.evidence.criteria import Criteria, OutboundRecord, keys_of
from bridge.evidence.histories import CheckedEvent, histories_of
from bridge.evidence.sources import Wanted
from bridge.privacy import normalised

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.events import Encoding
    from bridge.evidence.bundle import Signature, SubjectKind
    from bridge.evidence.histories import ReconstructedOperation
    from bridge.evidence.sources import Source
    from bridge.privacy import Concealment

MOST_RECORDS: Final = 50_000
"""Limit for the number of records in a bundle. The collector keeps them all in memory."""
SLACK_MS: Final = 600_000
"""The search for an operation's other records begins this many milliseconds before its first event.

The clocks of replicas may differ, so another record may have an earlier time."""
ROUNDS: Final = 3
"""Limit for the number of further searches.

For example, a search for a phone number finds operations. A search for their record keys may find more operations."""
_EVERYTHING: Final = (operation.TOPIC, acknowledgement.TOPIC, user_event.TOPIC)


class Collector:
    """Collects bundles.

    `sources` are searched one after the other. `conceal` is the rule that hides phone numbers in the topics, or None if
    the numbers are plain. `check` returns whether an operation event has the signature of its account's bridge.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        topic_prefix: str,
        phone_numbers: str,
        encoding: Encoding,
        conceal: Concealment | None,
        check: Callable[[ConsumedRecord, str], Awaitable[Signature]],
        deadline_days: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._prefix = topic_prefix
        self._phone_numbers = phone_numbers
        self._encoding = encoding
        self._conceal = conceal
        self._check = check
        self._deadline_days = deadline_days
        self._clock = clock

    async def collect(
        self,
        kind: SubjectKind,
        value: str,
        *,
        since: int | None = None,
        until: int | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Bundle:
        """Return the bundle of a subject. `since` and `until` limit all searches, in ms since the epoch.

        `progress` is called with the number of records that the current search has read, and with their total number.

        Raises:
            UnusableInput: the value is not valid, or phone numbers can't be searched (`omit`).
            NoSuchEvidence: no record is about the subject.
            TooMuchEvidence: the subject has more than `MOST_RECORDS` records.
            KafkaUnavailable, RegistryUnavailable, aiokafka.errors.KafkaError, OSError: a source can't be read.
        """
        subject, criteria = self._subject(kind, value)
        search = _Search(self._sources, criteria, self._prefix, self._encoding, progress)
        await search.run(_first(kind, criteria, since, until))
        follow_all = kind in {"phone", "record"}
        asked: set[tuple[str, Collection[str] | None]] = set()
        for _ in range(ROUNDS):
            following = search.following(follow_all=follow_all, since=since, until=until)
            wanted = [one for one in following if (one.topic, one.keys) not in asked]
            if not wanted:
                break
            asked |= {(one.topic, one.keys) for one in wanted}
            await search.run(wanted)
        if not search.found:
            hint = (
                " A number is found only in the form that the topics have, so try it with and without the country code."
                if kind == "phone"
                else ""
            )
            raise NoSuchEvidence(f"No record about this {kind} was found. {_read(self._sources)}{hint}")
        return await self._bundle(subject, search, since, until)

    def _subject(self, kind: SubjectKind, value: str) -> tuple[Subject, Criteria]:
        if kind == "reference":
            return Subject(kind=kind, value=value), Criteria(references={value})
        if kind == "job":
            return Subject(kind=kind, value=value), Criteria(job=f"{value}-")
        if kind == "record":
            record = _record(value)
            return Subject(kind=kind, value=value), Criteria(record=record, keys={record.key})
        number = normalised(value)
        if not any(map(str.isdecimal, number)):
            raise UnusableInput("the phone number has no digits")
        phones = {number}
        if self._conceal is not None:
            hashed = self._conceal.number(number)
            if hashed is None:
                raise UnusableInput(
                    "with privacy.phone_numbers = omit no record has a phone number; search by reference or by record"
                )
            phones.add(hashed)
        forms = tuple(sorted(phones - {value}))
        return Subject(kind=kind, value=value, searched_as=forms), Criteria(phones=phones)

    async def _bundle(self, subject: Subject, search: _Search, since: int | None, until: int | None) -> Bundle:
        now = self._clock()
        events = [
            CheckedEvent(found, await self._check(found.record, found.content.account or ""))
            for found in search.of(operation.TOPIC)
        ]
        sessions, sessions_topic = search.of(session.TOPIC), full_topic(self._prefix, session.TOPIC)
        others = search.of(acknowledgement.TOPIC) + search.of(user_event.TOPIC) + search.of(DEAD_LETTERS)
        wanted = {subject.value} if subject.kind == "reference" else None
        operations = histories_of(events, others, deadline_days=self._deadline_days, now=now, references=wanted)
        gaps = gaps_in(operations, sessions, rfc3339(now))
        named = {gap.record for gap in gaps}
        records = [stored(found.record, found.source) for found in search.found.values()]  # type: ignore[arg-type]
        reports = [source.report() for source in self._sources]
        missing = [one for _, found in reports for one in found]
        return Bundle(
            head=Head(
                subject=subject,
                made_at=rfc3339(now),
                since=_time(since),
                until=_time(until),
                deadline_days=self._deadline_days,
                bridge_version=__version__,
                topic_prefix=self._prefix,
                phone_numbers=self._phone_numbers,
            ),
            operations=tuple(one.history for one in operations),
            records=tuple(
                sorted(
                    (one for one in records if one.topic != sessions_topic or one.place in named),
                    key=lambda one: (one.timestamp, one.topic, one.partition, one.offset),
                )
            ),
            gaps=gaps,
            contradictions=contradictions_in(operations, others),
            searched=tuple(one for found, _ in reports for one in found),
            missing=(*missing, *_without_operation(subject, operations, others), *missing_in(operations)),
            schemas=_schemas(search.found.values()),
        )


class _Search:
    """Collects records, and decides which further searches the records require."""

    def __init__(
        self,
        sources: Sequence[Source],
        criteria: Criteria,
        prefix: str,
        encoding: Encoding,
        progress: Callable[[int, int], None],
    ) -> None:
        self._sources = sources
        self._criteria = criteria
        self._prefix = full_topic(prefix, "")
        self._encoding = encoding
        self._progress = progress
        self.found: dict[tuple[str, int, int], Found] = {}

    def of(self, topic: str) -> list[Found]:
        """Return the records that were found on a topic."""
        return [one for one in self.found.values() if one.topic == topic]

    async def run(self, wanted: Sequence[Wanted]) -> None:
        """Search all sources, and keep the records that meet the criteria."""
        self._criteria.prepare()
        for source in self._sources:
            async with aclosing(source.search(wanted, self._criteria.may_meet, self._progress)) as records:
                async for record in records:
                    await self._take(record, source.name)

    async def _take(self, record: ConsumedRecord, source: str) -> None:
        place = (record.topic, record.partition, record.offset)
        if place in self.found:
            return
        content = await content_of(record.value, self._encoding)
        found = Found(record, record.topic.removeprefix(self._prefix), content, named_in(content), source)
        if not self._criteria.meets(found):
            return
        if len(self.found) >= MOST_RECORDS:
            raise TooMuchEvidence(
                f"The subject has more than {MOST_RECORDS:,} records, which are too many for one bundle. Narrow the "
                "search by a time (--since, --until)."
            )
        self.found[place] = found

    def following(self, *, follow_all: bool, since: int | None, until: int | None) -> list[Wanted]:
        """Return the next searches, for the other records of the operations and outbound records that were found.

        `follow_all`: also search the operations whose acknowledgements were found.
        """
        criteria, operations = self._criteria, self.of(operation.TOPIC)
        answered = {one.content.reference_id for one in self.of(acknowledgement.TOPIC)} if follow_all else set()
        new = {reference for reference in answered if reference is not None} - criteria.references
        known = {one.content.reference_id for one in operations}
        criteria.references |= new | {reference for reference in known if reference is not None}
        chased = list(self.found.values()) if follow_all else operations
        criteria.keys |= {key for one in chased if one.topic != session.TOPIC for key in keys_of(one)}
        criteria.accounts |= {one.content.account for one in operations if one.content.account is not None}
        start = since if since is not None else _earliest(operations)
        wanted = []
        if new - known:
            wanted.append(Wanted(operation.TOPIC, new - known, "by reference", since, until))
        if criteria.references and not operations and not follow_all:
            # If no operation was found, its record key is unknown. But an acknowledgement may have the reference.
            wanted.append(Wanted(acknowledgement.TOPIC, None, "by reference", since, until))
        if criteria.keys:
            wanted += [
                Wanted(topic, criteria.keys, "by record key", start, until)
                for topic in (acknowledgement.TOPIC, user_event.TOPIC)
            ]
        if operations:
            letters = criteria.keys | criteria.references
            wanted.append(Wanted(DEAD_LETTERS, letters, "by record key and reference", start, until))
            # A `gap` event is written when the gap has ended, which may be after `until`.
            wanted.append(Wanted(session.TOPIC, criteria.accounts, "gaps, by account", start, None))
        return [one._replace(keys=None if one.keys is None else frozenset(one.keys)) for one in wanted]


def _first(kind: SubjectKind, criteria: Criteria, since: int | None, until: int | None) -> list[Wanted]:
    if kind == "reference":
        return [Wanted(operation.TOPIC, criteria.references, "by reference", since, until)]
    if kind == "job":
        return [Wanted(operation.TOPIC, None, "by the start of the reference", since, until)]
    if kind == "phone":
        return [Wanted(topic, None, "by phone number", since, until) for topic in _EVERYTHING]
    by_key = [
        Wanted(topic, frozenset(criteria.keys), "by record key", since, until)
        for topic in (acknowledgement.TOPIC, user_event.TOPIC)
    ]
    return [Wanted(operation.TOPIC, None, "by record", since, until), *by_key]


def _record(value: str) -> OutboundRecord:
    application, _, rest = value.partition("/")
    campaign, _, handle = rest.rpartition("/")
    digits = (application or "0", handle)
    if not campaign or not all(one.isascii() and one.isdecimal() and len(one) < 20 for one in digits):
        raise UnusableInput("the record must be APPLICATION/CAMPAIGN/HANDLE, such as 100/Spring/42")
    return OutboundRecord(int(application) if application else None, campaign, int(handle))


def _earliest(operations: Iterable[Found]) -> int | None:
    """Return the earliest possible time of another record of these operations, in ms since the epoch."""
    times = [one.record.timestamp for one in operations]
    return max(0, min(times) - SLACK_MS) if times else None


def _without_operation(
    subject: Subject, operations: Sequence[ReconstructedOperation], others: Sequence[Found]
) -> Iterable[Missing]:
    """Report each reference that has an acknowledgement but no operation. Another client may have sent the request.

    A search by reference or job does not look for other operations on the same record, so it ignores their references.
    """
    known = {one.history.reference_id for one in operations}
    answered = (one.content.reference_id for one in others if one.topic == acknowledgement.TOPIC)
    for reference in dict.fromkeys(answered):
        if reference is None or reference in known or (subject.kind == "reference" and reference != subject.value):
            continue
        if subject.kind != "job" or reference.startswith(f"{subject.value}-"):
            yield Missing(
                what="operation",
                text=f"An acknowledgement names the reference {reference}, of which no operation was found. Another "
                "client of Web Services made the request, or Kafka has deleted the operation's events.",
            )


def _schemas(found: Iterable[Found]) -> tuple[Schema, ...]:
    ids = {one.record.headers.get("ce_dataschema", b"").decode(errors="replace") for one in found}
    avro = {id_.replace(":schema:", ":avro:"): text for id_, text in avro_schema_files().items()}
    texts = {**schema_files(), **avro}
    return tuple(Schema(id=id_, text=texts[id_]) for id_ in sorted(ids) if id_ in texts)


def _read(sources: Sequence[Source]) -> str:
    """Return a sentence with the number of records that were read, and with their topics."""
    searched = [one for source in sources for one in source.report()[0]]
    topics = sorted({one.topic for one in searched})
    records = sum(part.records for one in searched for part in one.ranges)
    notes = [one.text for source in sources for one in source.report()[1]]
    return " ".join([f"Records read on {', '.join(topics) or 'no topic'}: {records:,}.", *notes])


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339_milliseconds(milliseconds)
