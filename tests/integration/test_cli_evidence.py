"""`bridge evidence`, as a process, in front of the embedded broker."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from bridge.delivery import connection
from bridge.events import Operation
from bridge.settings import Kafka
from bridge.simulator import EmbeddedBroker
from tests.evidence_parts import KEYS, REFUSED, START, Topics, acknowledged, key_file, operation
from tests.real import create_bridge_topics
from tests.unit.cli_process import Ended, bridge


@dataclass
class Site:
    """The settings of a bridge, with records in Kafka, and a directory to work in."""

    place: Path
    environment: dict[str, str]

    async def run(self, *arguments: str, **changed: str) -> Ended:
        return await bridge("evidence", *arguments, environment=self.environment | changed, within=60)

    async def export(self, *arguments: str) -> Ended:
        return await self.run("export", *arguments, "--output", str(self.file))

    @property
    def file(self) -> Path:
        """The file that is exported."""
        return self.place / "evidence.json"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    broker = EmbeddedBroker()
    broker.start()
    place = tmp_path_factory.mktemp("evidence")
    settings = Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False)
    await create_bridge_topics(settings)
    producer = AIOKafkaProducer(**connection(settings))
    await producer.start()
    await KEYS["alice"].start("ledger")
    writer = Topics().writer
    hostile = {"request": b'{"applicationId":134,"campaignName":"<script>alert(1)</script>\\u001b[31m"}'}
    for one in (
        operation("r1", "requested", START),
        operation("r1", "accepted", START + 1),
        acknowledged("r1", START + 2),
        operation("r1", "acknowledged", START + 2, acknowledgement_id="session-0"),
        operation("<img src=x>", "requested", START, requested_by="\x1b[2J<b>", **hostile),
        operation("<img src=x>", "rejected", START + 1, upstream=REFUSED, **hostile),
    ):
        record = writer.record(one) if isinstance(one, Operation) else one
        await producer.send_and_wait(f"gws.{record.topic}", record.value, key=record.key, headers=record.headers)
    await producer.stop()
    yield Site(
        place,
        {
            "BRIDGE_WEB_SERVICES__URL": "http://127.0.0.1:1",
            "BRIDGE_WEB_SERVICES__USERNAME": "alice",
            "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
            "BRIDGE_KAFKA__CHECK_CRCS": "false",
            "BRIDGE_EVIDENCE__KEY_FILE": str(key_file(place)),
        },
    )
    broker.stop()


async def test_export_and_verify(site: Site) -> None:
    """A newcomer exports an operation, verifies the file without any settings, and against Kafka."""
    ended = await site.export("--reference", "r1")
    assert (ended.status, ended.errors) == (0, "")
    assert "r1: acknowledged, in-time, 2.0 s after the request" in ended.output
    assert re.search(r"Wrote .*evidence.json \([0-9,]+ bytes\), signed by the key [\w-]{43}\.", ended.output)
    assert site.file.stat().st_mode & 0o777 == 0o600
    verified = await bridge("evidence", "verify", str(site.file), environment={})
    assert (verified.status, verified.errors) == (0, "")
    assert verified.output.endswith("Verified: nothing was changed.\n")
    in_kafka = await site.run(
        "verify", str(site.file), "--kafka", "--key", site.environment["BRIDGE_EVIDENCE__KEY_FILE"]
    )
    assert in_kafka.status == 0
    assert "records: Kafka still has each with the same bytes." in in_kafka.output


async def test_the_thumbprint_is_that_of_the_signature(site: Site) -> None:
    """`bridge evidence key` prints what `export` and `verify` print, and the public key for `--key`."""
    exported, key = await site.export("--reference", "r1"), await site.run("key")
    thumbprint, _, pem = key.output.partition("\n")
    assert thumbprint in exported.output
    (site.place / "public.pem").write_text(pem)
    verified = await site.run("verify", str(site.file), "--key", str(site.place / "public.pem"))
    assert (verified.status, "Signed by the given key" in verified.output) == (0, True)


async def test_a_changed_file_is_named(site: Site) -> None:
    """A changed file gives exit code 1 and the part that was changed."""
    await site.export("--reference", "r1")
    changed = site.place / "changed.json"
    changed.write_bytes(site.file.read_bytes().replace(b'"requestedBy":"crm"', b'"requestedBy":"crn"'))
    ended = await bridge("evidence", "verify", str(changed), environment={})
    assert ended.status == 1
    assert re.search(r"failed +operations\[0\]", ended.output)
    assert ended.output.endswith("NOT VERIFIED: 1 check failed.\n")


async def test_the_page_escapes_everything(site: Site) -> None:
    """The page contains hostile texts as texts, no script, and nothing from elsewhere."""
    ended = await site.export("--reference", "<img src=x>", "--html")
    assert ended.status == 0
    assert "\x1b" not in ended.output
    page = (site.place / "evidence.html").read_text(encoding="utf-8")
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "\x1b" not in page
    assert not re.search(r"(src|href)\s*=\s*[\"']", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "give one of --reference, --phone, --record and --job"),
        (["--reference", "r1", "--phone", "1"], 2, "give one of --reference"),
        (["--reference", "nobody"], 1, "No record about this reference was found. "),
        (["--record", "7"], 2, "APPLICATION/CAMPAIGN/HANDLE"),
        (["--phone", "none"], 2, "the phone number has no digits"),
        (["--reference", "r1", "--since", "yesterday"], 2, "--since must be a day such as 2026-11-01"),
        (["--reference", "r1", "--offline"], 2, "--offline needs --archive"),
        (["--reference", "r1", "--archive", "/nowhere"], 2, "/nowhere can't be read"),
    ],
)
async def test_wrong_input_is_told_in_a_line(site: Site, arguments: list[str], status: int, text: str) -> None:
    """Each wrong argument gives one line that says what is wrong, and the right exit code."""
    ended = await site.export(*arguments)
    assert ended.status == status
    assert text in ended.errors
    assert len(ended.errors.splitlines()) == 1


async def test_wrong_files_are_told_in_a_line(site: Site) -> None:
    """Verify says of a missing file, a file of another kind, and a wrong key what they are."""
    missing = await bridge("evidence", "verify", "/nowhere/file", environment={})
    assert (missing.status, missing.errors) == (2, "/nowhere/file can't be read: No such file or directory\n")
    other = site.place / "other.json"
    other.write_text("{}")
    ended = await bridge("evidence", "verify", str(other), environment={})
    assert (ended.status, ended.errors) == (1, "")
    wrong = await bridge("evidence", "verify", str(other), "--key", str(other), environment={})
    assert wrong.status == 2
    assert "has no Ed25519 private key" in wrong.errors


async def test_without_a_key(site: Site) -> None:
    """Without a key a file is written that says so and fails; an archive is refused."""
    ended = await site.run("export", "--reference", "r1", "--output", str(site.file), BRIDGE_EVIDENCE__KEY_FILE="")
    assert (ended.status, "NOT signed" in ended.output) == (0, True)
    assert (await site.run("verify", str(site.file))).status == 1
    archive = await site.run(
        "archive", "--since", "2026-11-01", "--output", str(site.place / "archive"), BRIDGE_EVIDENCE__KEY_FILE=""
    )
    assert (archive.status, "BRIDGE_EVIDENCE__KEY_FILE" in archive.errors) == (2, True)


async def test_an_archive_needs_a_kafka_that_finds_records_by_time(site: Site) -> None:
    """The embedded Kafka can't find records by time. The archive is refused, instead of records in a wrong day."""
    yesterday = datetime.now(UTC).date() - timedelta(days=2)
    directory = site.place / "by-day"
    ended = await site.run("archive", "--since", str(yesterday), "--output", str(directory))
    assert (ended.status, ended.output) == (1, "")
    assert "does not find records by their time" in ended.errors
    assert len(ended.errors.splitlines()) == 1
    assert not list(directory.glob("*.json"))


async def test_kafka_away(site: Site) -> None:
    """Without Kafka the command fails within its deadline, with one line."""
    ended = await site.run(
        "export",
        "--reference",
        "r1",
        "--output",
        str(site.file),
        BRIDGE_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
        BRIDGE_KAFKA__REQUEST_TIMEOUT="2",
    )
    assert ended.status == 1
    assert "Kafka at 127.0.0.1:1 can't be read" in ended.errors
    assert len(ended.errors.splitlines()) == 1
