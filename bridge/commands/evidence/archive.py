"""`bridge evidence archive`: appends the past days to an archive. `bridge evidence key`: prints the public key."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bridge.commands.evidence.export import milliseconds
from bridge.commands.evidence.progress import Bar
from bridge.commands.output.topics import unreadable
from bridge.commands.process import run_to_end, until_signal
from bridge.errors import UnusableInput
from bridge.evidence import ARCHIVE_KIND, Archiver, counted, public_key, signer_of, thumbprint
from bridge.observability import configure

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.settings import Settings

_NO_KEY = "set BRIDGE_EVIDENCE__KEY_FILE: the manifests of an archive must be signed (docs/evidence.md)"


def archive_evidence(settings: Settings, directory: Path, since: str) -> None:
    """Append each past day to the archive in `directory`, and print a line for each day.

    Raises:
        UnusableInput: an argument can't be used, there is no key, or the archive can't be continued.
        CommandFailed: Kafka can't be read, the directory can't be written, or a signal came.
    """
    configure("console", "error")
    signer = signer_of(settings.evidence.key_file, ARCHIVE_KIND)
    if signer is None:
        raise UnusableInput(_NO_KEY)
    start = milliseconds(since, "--since")
    assert start is not None  # the option is required
    first = datetime.fromtimestamp(start / 1000, UTC).date()
    archiver = Archiver(settings.kafka, directory, signer, since=first)

    async def run() -> int:
        days = 0
        with Bar("archiving") as bar:
            async with aclosing(archiver.run(bar)) as manifests:
                async for one in manifests:
                    days += 1
                    print(f"{one.day}: {counted(one.records, 'record')}, {counted(one.size, 'byte')}", flush=True)  # noqa: T201
        return days

    try:
        days = run_to_end(until_signal(run()))
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise unreadable(settings.kafka, error) from None
    if not days:
        print("Nothing to do: the archive has every day that is over.")  # noqa: T201 -- the command's output


def show_key(settings: Settings) -> str:
    """Return the signing key's thumbprint and its public key, which the user then publishes.

    Raises:
        UnusableInput: there is no key, or it can't be read.
    """
    if settings.evidence.key_file is None:
        raise UnusableInput("BRIDGE_EVIDENCE__KEY_FILE is not set")
    key = public_key(settings.evidence.key_file)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return f"{thumbprint(key)}\n{pem}".rstrip()
