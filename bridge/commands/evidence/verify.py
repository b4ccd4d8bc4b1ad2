"""`bridge evidence verify`: verifies the file of a bundle, or the directory of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from bridge.commands.evidence.progress import Bar
from bridge.commands.output.topics import unreadable
from bridge.commands.output.views import in_cell, visible
from bridge.commands.process import run_to_end, until_signal
from bridge.errors import UnusableInput
from bridge.evidence import Outcome, certificates, counted, decode, public_key, still_in_kafka, verify, verify_archive
from bridge.observability import configure

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.evidence import Check
    from bridge.settings import Settings

STYLES = {Outcome.OK: "green", Outcome.FAILED: "bold red", Outcome.UNCHECKED: "yellow"}
MOST_LINES = 100
"""Maximum number of failures that are printed."""


def verify_evidence(path: Path, *, key: Path | None, timestamp_ca: Path | None, settings: Settings | None) -> bool:
    """Verify a file or an archive, print the checks, and return whether none has failed.

    With `settings`, also check that the records of a file are still in Kafka.

    Raises:
        UnusableInput: the file, the key or the certificate can't be read.
        CommandFailed: Kafka can't be read, or a signal came.
    """
    configure("console", "error")
    trusted = None if key is None else public_key(key)
    if path.is_dir():
        if settings is not None:
            raise UnusableInput("--kafka can't be used with an archive")
        with Bar("days") as bar:
            checks = verify_archive(path, trusted=trusted, progress=bar)
    else:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UnusableInput(f"{path} can't be read: {error.strerror}") from None
        roots = None if timestamp_ca is None else certificates(timestamp_ca)
        checks = verify(content, trusted=trusted, roots=roots)
        if settings is not None and _sound(checks):
            checks += _in_kafka(content, settings)
    _print(checks)
    return _sound(checks)


def _sound(checks: list[Check]) -> bool:
    return all(one.outcome is not Outcome.FAILED for one in checks)


def _in_kafka(content: bytes, settings: Settings) -> list[Check]:
    try:
        with Bar("records") as bar:
            return run_to_end(until_signal(still_in_kafka(decode(content).bundle, settings.kafka, bar)))
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings.kafka, error) from None


def _print(checks: list[Check]) -> None:
    shown = checks if len(checks) <= MOST_LINES else [*checks[: MOST_LINES - 2], *checks[-2:]]
    console = Console()
    if console.is_terminal:
        table = Table()
        for name in ("", "part", "found"):
            table.add_column(name, overflow="fold")
        for one in shown:
            table.add_row(one.outcome.value, in_cell(one.subject), in_cell(one.text, None), style=STYLES[one.outcome])
        console.print(table)
    else:
        for one in shown:
            print(f"{one.outcome:9} {visible(one.subject):16} {visible(one.text, None)}")  # noqa: T201 -- the output
    if len(shown) < len(checks):
        print(f"and {counted(len(checks) - len(shown), 'further check')}")  # noqa: T201
    failed = sum(one.outcome is Outcome.FAILED for one in checks)
    print(f"NOT VERIFIED: {counted(failed, 'check')} failed." if failed else "Verified: nothing was changed.")  # noqa: T201
