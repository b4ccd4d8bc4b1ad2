"""`bridge evidence export`: writes the signed bundle of a subject, and a page to read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError

from bridge.commands.evidence.progress import Bar
from bridge.commands.output.topics import unreadable
from bridge.commands.output.views import visible
from bridge.commands.process import run_to_end, until_signal
from bridge.delivery import AccountKeys
from bridge.errors import CommandFailed, UnusableInput
from bridge.evidence import ArchiveSource, EvidenceMaker, KafkaSource, counted, decode, page, sealed, signer_of
from bridge.observability import configure
from bridge.operations import signature_check
from bridge.registry import encoding_of

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.evidence import Bundle, Source
    from bridge.settings import Settings

MOST_LINES = 20
"""Maximum number of operations that are listed on the terminal. The file contains all operations."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `bridge evidence export`. Exactly one of the subjects must be set."""

    reference: str | None
    phone: str | None
    record: str | None
    job: str | None
    since: str | None
    until: str | None
    output: Path
    html: bool
    archive: Path | None
    offline: bool
    all_partitions: bool

    def subject(self) -> tuple[str, str]:
        """Return the kind of the subject, and its value.

        Raises:
            UnusableInput: the options name no subject, or more than one.
        """
        given = [(kind, value) for kind in ("reference", "phone", "record", "job") if (value := getattr(self, kind))]
        if len(given) != 1:
            raise UnusableInput("give one of --reference, --phone, --record and --job")
        return given[0]


def export_evidence(settings: Settings, options: ExportOptions) -> None:
    """Write the bundle of a subject to a file, and print a summary of the bundle.

    Raises:
        UnusableInput: an argument can't be used.
        CommandFailed: there is no evidence, a source can't be read, the file can't be written, or a signal came.
    """
    configure("console", "error")
    kind, value = options.subject()
    since, until = milliseconds(options.since, "--since"), milliseconds(options.until, "--until", last=True)
    if options.offline and options.archive is None:
        raise UnusableInput("--offline needs --archive")
    sources: list[Source] = []
    if not options.offline:
        sources.append(KafkaSource(settings.kafka, all_partitions=options.all_partitions))
    if options.archive is not None:
        sources.append(ArchiveSource(options.archive, settings.kafka.topic_prefix))
    signer = signer_of(settings.evidence.key_file, "")
    keys = {
        account.name: AccountKeys(account.name, account.password, settings.kafka.topic_prefix)
        for account in settings.accounts
    }
    maker = EvidenceMaker(settings, encoding_of(settings.kafka), signature_check(keys))

    async def make() -> tuple[Bundle, bytes]:
        with Bar("reading") as bar:
            bundle = await maker.collector(sources).collect(kind, value, since=since, until=until, progress=bar)  # type: ignore[arg-type]
        return bundle, await sealed(bundle, settings.evidence)

    try:
        bundle, content = run_to_end(until_signal(make()))
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings.kafka, error) from None
    write(options.output, content)
    lines = list(_summary(bundle))
    signed = (
        f"signed by the key {signer.thumbprint}"
        if signer
        else "NOT signed, because BRIDGE_EVIDENCE__KEY_FILE is not set"
    )
    lines.append(f"Wrote {options.output} ({len(content):,} bytes), {signed}.")
    if options.html:
        path = options.output.with_suffix(".html")
        if path == options.output:
            path = options.output.with_suffix(".page.html")
        write(path, page(decode(content), options.output.name))
        lines.append(f"Wrote {path}.")
    print("\n".join(lines))  # noqa: T201 -- the command's output


def milliseconds(text: str | None, option: str, *, last: bool = False) -> int | None:
    """Return a time in ms since the epoch: a day such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z.

    A time without a zone is in UTC. With `last`, a day means its last millisecond, otherwise its first.

    Raises:
        UnusableInput: the text is not a time since 1970.
    """
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        if day is not None and last:
            at += timedelta(days=1, milliseconds=-1)
        found = round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        found = -1
    if found < 0:
        raise UnusableInput(f"{option} must be a day such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z")
    return found


def write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, because it may contain personal data. An existing file is replaced.

    Raises:
        CommandFailed: the file can't be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        partial.replace(path)
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}") from None


def _summary(bundle: Bundle) -> list[str]:
    lines = []
    for history in bundle.operations[:MOST_LINES]:
        took = "" if history.seconds is None else f", {history.seconds:,} s after the request"
        verdict = "" if history.verdict == history.status else f", {history.verdict}"
        lines.append(f"{visible(history.reference_id)}: {visible(history.status)}{verdict}{took}")
    if len(bundle.operations) > MOST_LINES:
        lines.append(f"and {counted(len(bundle.operations) - MOST_LINES, 'further operation')}")
    if not bundle.operations:
        lines.append("No operation was found.")
    lines += [f"contradiction: {visible(one.text, None)}" for one in bundle.contradictions[:MOST_LINES]]
    lines += [
        f"gap of {visible(gap.account)}: {gap.since or 'not known'} to {gap.until}" for gap in bundle.gaps[:MOST_LINES]
    ]
    lines += [f"missing: {visible(one.text, None)}" for one in bundle.missing[:MOST_LINES]]
    read = sum(part.records for one in bundle.searched for part in one.ranges)
    lines.append(f"Records read: {read:,}. Records in the file: {len(bundle.records):,}.")
    return lines
