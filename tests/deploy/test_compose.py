"""deploy/compose.yaml: valid, and its commands work together, here as plain processes."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bridge import settings
from tests.real import RealKafka, require_real_parts
from tests.real.process import free_port
from tests.tools.required import require_tool
from tests.unit.cli_process import Command
from tests.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
PROGRAMS = Path(sys.executable).parent
# Where a container is on its own network, or stands in for a cluster; the test's processes have loopback ports instead.
OF_THE_NETWORK = {"NODE_ID", "CONTROLLER_QUORUM_VOTERS", "LISTENERS", "ADVERTISED_LISTENERS"}


class Loopback:
    """Puts loopback addresses in the place of the containers' own."""

    def __init__(self, kafka: RealKafka) -> None:
        self.bridge, simulator = free_port(), free_port()
        self._places = {
            "kafka:9092": kafka.bootstrap,
            "simulator:8090": f"127.0.0.1:{simulator}",
            "bridge:8080": f"127.0.0.1:{self.bridge}",
            "0.0.0.0": "127.0.0.1",  # noqa: S104 -- replaced
            "8090": str(simulator),
            "8080": str(self.bridge),
        }
        self._places_in_text = re.compile("|".join(rf"\b{re.escape(place)}\b" for place in self._places))

    def moved(self, text: str) -> str:
        return self._places_in_text.sub(lambda found: self._places[found[0]], text)

    def environment(self, service: str) -> dict[str, str]:
        return {name: self.moved(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}

    def process(self, service: str) -> Command:
        """The service's command, as the image would run it."""
        entrypoint = SERVICES[service].get("entrypoint", ["bridge"])
        command = [*entrypoint, *SERVICES[service].get("command", ["run"])]
        return self._command(command, self.environment(service))

    async def healthy(self, service: str) -> None:
        """Run the service's health check until it ends with 0, for as long as compose would."""
        health = SERVICES[service]["healthcheck"]
        kind, *check = health["test"]
        assert kind == "CMD"
        deadline = time.monotonic() + health["retries"] * float(health["interval"].removesuffix("s"))
        while True:
            async with self._command(check, self.environment(service)) as command:
                ended = await command.ended()
            if ended.status == 0:
                return
            assert time.monotonic() < deadline, f"{service} is not healthy: {ended.output}{ended.errors}"

    def _command(self, command: list[str], environment: Mapping[str, str]) -> Command:
        mounted = {target: str(DEPLOY / source) for source, target in mounts("traffic").items()}
        words = [mounted.get(word, self.moved(word)) for word in command]
        return Command(*words[1:], environment=environment, program=[str(PROGRAMS / words[0])])


def mounts(service: str) -> dict[str, str]:
    """The files and folders that a service gets from deploy/, and where."""
    volumes = [volume.split(":") for volume in SERVICES[service].get("volumes", [])]
    return {source: target for source, target, mode in volumes if mode == "ro"}


def test_compose_schema() -> None:
    """The file is valid by the compose specification's schema."""
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(
        command, executable=PROGRAMS / command[0], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_who_waits_for_a_healthy_service_waits_for_a_health_check() -> None:
    """Every service that another one wants healthy can say so."""
    wanted = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert wanted == {"kafka", "simulator", "bridge", "prometheus"}
    assert [name for name in wanted if not SERVICES[name].get("healthcheck", {}).get("test")] == []


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_ports_and_mounts(service: str) -> None:
    """Ports are open to this machine alone, and whatever a service gets from deploy/ is there and stays as it is."""
    assert [port for port in SERVICES[service].get("ports", []) if not port.startswith("127.0.0.1:")] == []
    assert len(mounts(service)) == len(SERVICES[service].get("volumes", []))
    assert [source for source in mounts(service) if not (DEPLOY / source).exists()] == []


def test_settings() -> None:
    """The bridge takes the variables that the file gives it."""
    assert settings.load(environment=SERVICES["bridge"]["environment"]).kafka.bootstrap_servers == "kafka:9092"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("promtool", ["check", "config", "prometheus/prometheus.yaml"]),
        ("amtool", ["check-config", "prometheus/alertmanager.yaml"]),
    ],
)
def test_monitoring_configuration(tool: str, arguments: list[str]) -> None:
    """Prometheus takes its configuration, with the rules that it names, and AlertManager its own."""
    command = [require_tool(tool), *arguments]
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_services_flow() -> None:
    """Started in their order and each waited for, the services' own commands bring calls and events into Kafka."""
    require_real_parts()
    configured = {name.removeprefix("KAFKA_"): str(value) for name, value in SERVICES["kafka"]["environment"].items()}
    properties = {
        name.replace("_", ".").lower(): value for name, value in configured.items() if name not in OF_THE_NETWORK
    }
    async with RealKafka(properties=properties) as kafka:
        places = Loopback(kafka)
        async with places.process("simulator"):
            await places.healthy("simulator")
            async with places.process("bridge") as bridge:
                await places.healthy("bridge")
                async with places.process("traffic") as traffic:
                    await eventually(lambda: traffic.output == "HTTP 200\n", within=20)
                    metrics = await until_acknowledged(f"http://127.0.0.1:{places.bridge}/metrics", 5)
                assert metrics[("bridge_events_published_total", "gws.user-events.v1")] > 0
            assert '"level":"error"' not in bridge.errors


async def until_acknowledged(url: str, count: int) -> Mapping[tuple[str, str], float]:
    """Wait until so many operations are acknowledged; return every sample by its name and its topic or outcome."""
    async with aiohttp.ClientSession() as client:
        deadline = time.monotonic() + 30
        while True:
            async with client.get(url) as reply:
                families = list(text_string_to_metric_families(await reply.text()))
            samples = {
                (sample.name, sample.labels.get("topic") or sample.labels.get("outcome") or ""): sample.value
                for family in families
                for sample in family.samples
            }
            if samples["bridge_operations_total", "acknowledged"] >= count:
                return samples
            assert time.monotonic() < deadline, f"{count} operations were not acknowledged: {samples}"
            await asyncio.sleep(0.1)
