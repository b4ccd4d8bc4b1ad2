"""The container image: what it holds, and that it works where nothing may be written."""

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest_asyncio

from bridge import __version__
from bridge.delivery import create_missing_topics, read
from bridge.settings import Kafka
from tests.deploy.image import ROOT, Config, Container, build
from tests.real import KafkaServer
from tests.real.process import free_port
from tests.tools.required import require_tool
from tests.unit.cli_process import Command
from tests.waiting import eventually

STOP_LIMIT = 10.0
"""Seconds that a planned stop may take."""
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
LOCKED = {package["name"]: package.get("version", __version__) for package in LOCK["package"]}
INVENTORY = """
import importlib.metadata, json, re, shutil
packages = {re.sub(r"[-_.]+", "-", one.name).lower(): one.version for one in importlib.metadata.distributions()}
tools = [name for name in ("gcc", "cc", "ld", "make", "cargo", "pip", "uv", "hatchling") if shutil.which(name)]
print(json.dumps({"packages": packages, "tools": tools}))
"""


@pytest_asyncio.fixture(scope="module")
async def config() -> Config:
    """The image is built once for the tests of this file."""
    return await build(version=__version__, revision="0123456789abcdef")


@pytest_asyncio.fixture
async def container(config: Config, tmp_path: Path) -> AsyncIterator[Container]:
    async with Container(config, tmp_path / "container.log") as made:
        yield made


def test_the_dockerfile_is_clean() -> None:
    """The linter finds nothing in the Dockerfile."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or require_tool("hadolint")
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


async def test_the_image_tells_how_to_run_it(config: Config) -> None:
    """The user is a number other than 0, SIGTERM reaches the bridge itself, and the labels say which version it is."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config.user)
    assert (config.entrypoint, config.cmd, config.stop_signal) == (["bridge"], ["run"], "SIGTERM")
    assert config.healthcheck.test == ["CMD", "bridge", "health"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config.labels.items()}
    assert labels["title"] == "cometd-kafka-bridge"
    assert (labels["version"], labels["revision"]) == (__version__, "0123456789abcdef")


async def test_the_image_relays_and_stops_in_time(container: Container, real_kafka: KafkaServer) -> None:
    """Not as root and with nothing to write to, it gets healthy, relays an event into Kafka, and ends by SIGTERM."""
    prefix = f"image{uuid.uuid4().hex[:8]}"
    settings = Kafka(bootstrap_servers=real_kafka.bootstrap, topic_prefix=prefix)
    async with Command("simulate", "--rate", "20", environment={}) as simulator:
        await eventually(lambda: "BRIDGE_WEB_SERVICES__URL=" in simulator.output, within=30)
        await container.start(
            {
                "BRIDGE_WEB_SERVICES__URL": simulator.output.partition("BRIDGE_WEB_SERVICES__URL=")[2].split()[0],
                "BRIDGE_WEB_SERVICES__USERNAME": "agent",
                "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
                "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": real_kafka.bootstrap,
                "BRIDGE_KAFKA__TOPIC_PREFIX": prefix,
                "BRIDGE_HTTP__PORT": str(free_port()),
            }
        )
        await container.healthy(within=60)
        await create_missing_topics(settings)
        topic = f"{prefix}.acknowledgements.v1"
        async with aclosing(read(settings, [topic], from_beginning=True)) as records:
            async for record in records:
                assert record.headers["ce_type"] == b"gws.acknowledgement.v1"
                break
        assert await container.users() == {10001}
        assert (await container.run("bridge", "schemas", "show", "acknowledgement"))[0] == 0
        for place in ("/tmp", "/opt/bridge", "/"):  # noqa: S108 -- in the image
            status, output = await container.run("touch", f"{place}/written")
            assert status != 0
            assert "Read-only file system" in output
        began = time.monotonic()
        assert await container.terminate(within=STOP_LIMIT + 5) == 0, container.output()
        assert time.monotonic() - began < STOP_LIMIT
    assert '"stopped"' in container.output()


async def test_the_image_holds_what_the_lock_names_and_no_build_tools(container: Container) -> None:
    """Each package inside has the lock's version, the extras are there, and there is nothing to build with."""
    await container.start({}, "python", "-c", INVENTORY)
    assert await container.ended(within=60) == 0, container.output()
    inventory = json.loads(container.output())
    assert inventory["packages"].items() <= LOCKED.items()
    extras = {
        "confluent-kafka",
        "fastavro",
        "opentelemetry-sdk",
        "rfc3161-client",
        "backports-zstd",
        "phonenumberslite",
    }
    assert {"aiokafka", *extras} <= inventory["packages"].keys()
    assert inventory["tools"] == []
