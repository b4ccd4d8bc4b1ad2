"""Searches an archive. It has no index, so each search reads all days of its period."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from bridge.errors import UnusableInput
from bridge.events import full_topic
from bridge.evidence.archive.day import DAY, RECORDS, consumed, days_in, digest_of, manifest_of, records_in
from bridge.evidence.bundle import Missing, Searched, SearchedPartition

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import date
    from pathlib import Path

    from bridge.delivery import ConsumedRecord
    from bridge.evidence.archive.day import Manifest
    from bridge.evidence.sources import Keep, Progress, Wanted

EVERY: Final = 5_000
"""Number of records between two reports of the progress."""


class ArchiveSource:
    """Searches the archive in a directory."""

    name: Literal["kafka", "archive"] = "archive"

    def __init__(self, directory: Path, topic_prefix: str) -> None:
        """Read the manifests.

        Raises:
            UnusableInput: the directory can't be read, or has the records of other topics.
        """
        self._directory = directory
        self._prefix = topic_prefix
        self._manifests = [manifest_of(directory, day).manifest for day in days_in(directory)]
        self._whole: set[date] = set()
        self._searched: list[Searched] = []
        if any(one.topic_prefix != topic_prefix for one in self._manifests):
            raise UnusableInput(f"{directory} is the archive of the topics {self._manifests[0].topic_prefix}.*")

    def report(self) -> tuple[list[Searched], list[Missing]]:
        """See `Source.report`."""
        if self._manifests:
            return self._searched, []
        return [], [Missing(what="archive-empty", text=f"The archive {self._directory} has no day.")]

    async def search(
        self, wanted: Sequence[Wanted], keep: Keep, progress: Progress
    ) -> AsyncGenerator[ConsumedRecord, None]:
        """See `Source.search`.

        Raises:
            UnusableInput: a day can't be read, or was changed.
        """
        by_topic = {full_topic(self._prefix, one.topic): one for one in wanted}
        sinces = [one.since for one in wanted if one.since is not None]
        since = min(sinces) if len(sinces) == len(wanted) else None
        untils = [one.until for one in wanted if one.until is not None]
        until = max(untils) if len(untils) == len(wanted) else None
        manifests = [one for one in self._manifests if _within(one.day, since, until)]
        total = sum(one.records for one in manifests)
        done = 0
        for manifest in manifests:
            path = self._whole_file(manifest)
            try:
                for stored in records_in(path):
                    done += 1
                    if done % EVERY == 0:
                        progress(done, total)
                    one = by_topic.get(stored.topic)
                    if one is None:
                        continue
                    record = consumed(stored)
                    if one.covers(record.timestamp) and keep(one.topic, record.key, record.value):
                        yield record
            except (OSError, EOFError, ValueError) as error:
                raise UnusableInput(f"{path} can't be read ({type(error).__name__})") from None
        self._report_searched(by_topic, manifests)

    def _whole_file(self, manifest: Manifest) -> Path:
        """Check the digest of a day's file of records, and return the path of the file."""
        path = self._directory / f"{manifest.day}{RECORDS}"
        try:
            if manifest.day not in self._whole and digest_of(path) != manifest.sha256:
                raise UnusableInput(f"{path} was changed; see: bridge evidence verify {self._directory}")
        except OSError as error:
            raise UnusableInput(f"{path} can't be read: {error.strerror}") from None
        self._whole.add(manifest.day)
        return path

    def _report_searched(self, by_topic: dict[str, Wanted], manifests: Sequence[Manifest]) -> None:
        for topic, one in by_topic.items():
            parts: dict[int, SearchedPartition] = {}
            count = 0
            for manifest in manifests:
                for part in manifest.partitions:
                    if part.topic == topic:
                        count = part.partitions
                        before = parts.get(part.partition)
                        parts[part.partition] = SearchedPartition(
                            partition=part.partition,
                            first=part.first if before is None else before.first,
                            since=part.since if before is None else before.since,
                            until=part.until,
                            records=part.records + (0 if before is None else before.records),
                        )
            days = f"{manifests[0].day} to {manifests[-1].day}" if manifests else "no day"
            reason = f"{one.reason}, in the archive of {days}"
            ranges = tuple(parts[number] for number in sorted(parts))
            self._searched.append(
                Searched(topic=topic, source="archive", reason=reason, partitions=count, ranges=ranges)
            )


def _within(day: date, since: int | None, until: int | None) -> bool:
    """Return whether the file of a day may have records of a period.

    A record that reached Kafka late is in the file of a later day. So days after the period count too.
    """
    first = None if since is None else datetime.fromtimestamp(since / 1000, UTC).date() - DAY
    last = None if until is None else datetime.fromtimestamp(until / 1000, UTC).date() + 2 * DAY
    return (first is None or day >= first) and (last is None or day <= last)
