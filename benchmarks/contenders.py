"""What is compared: how each one is started, and when it is ready."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from benchmarks.process import MeasuredProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.real import RealKafka, RealWebServices

USER: Final = "agent"
PASSWORD: Final = "secret"
TUNING: Final = ("-Xmx256m", "-Djackson=true", "-Dlinger.ms=0")
"""What somebody who has measured would set: less memory, a faster parser, less latency."""
_BRIDGE: Final = (str(Path(sys.executable).with_name("bridge")), "run")
_JAVA_BUILD: Final = Path(__file__).parent / "java" / ".build"


@dataclass(frozen=True)
class Site:
    """Where all of them run: the servers, and a directory for the logs."""

    kafka: RealKafka
    web_services: RealWebServices
    directory: Path


class Contender(Protocol):
    """One of the bridges."""

    @property
    def name(self) -> str:
        """As the tables call it."""

    def command(self, site: Site, prefix: str) -> Sequence[str]:
        """The command line; `prefix` is that of the run's topics."""

    def environment(self, site: Site, prefix: str) -> Mapping[str, str]:
        """What it needs beside the inherited environment."""

    async def is_ready(self, output: str) -> bool:
        """Whether events flow now, given its output so far."""


@dataclass(frozen=True)
class Bridge:
    """`bridge run` with everything at its default but the addresses."""

    delivery: str

    @property
    def name(self) -> str:
        """As the tables call it."""
        return self.delivery

    def command(self, site: Site, prefix: str) -> Sequence[str]:  # noqa: ARG002 - set up by its environment
        """The command line."""
        return _BRIDGE

    def environment(self, site: Site, prefix: str) -> Mapping[str, str]:
        """Its settings."""
        return {
            "BRIDGE_WEB_SERVICES__URL": site.web_services.url,
            "BRIDGE_WEB_SERVICES__USERNAME": USER,
            "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD,
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": site.kafka.bootstrap,
            "BRIDGE_KAFKA__TOPIC_PREFIX": prefix,
            "BRIDGE_KAFKA__DELIVERY": self.delivery,
            "BRIDGE_HTTP__PORT": "0",
        }

    async def is_ready(self, output: str) -> bool:
        """/health/ready says 200."""
        listening = re.search(r'^.*"event": ?"listening".*$', output, re.MULTILINE)
        url = re.search(r'"url": ?"([^"]+)"', listening[0]) if listening is not None else None
        if url is None:
            return False
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.get(f"{url[1]}/health/ready") as reply,
        ):
            return reply.status == 200


@dataclass(frozen=True)
class Java:
    """benchmarks/java, with its libraries' and the JVM's defaults but for `options`."""

    name: str
    options: tuple[str, ...] = ()

    def command(self, site: Site, prefix: str) -> Sequence[str]:
        """The command line."""
        classpath = f"{_JAVA_BUILD / 'classes'}:{_JAVA_BUILD / 'jars' / '*'}"
        url = f"{site.web_services.url}/api/v2/notifications"
        arguments = [url, USER, PASSWORD, site.kafka.bootstrap, topic_of(prefix)]
        return ["java", *self.options, "-cp", classpath, "peer.JavaBridge", *arguments]

    def environment(self, site: Site, prefix: str) -> Mapping[str, str]:  # noqa: ARG002 - all is on its command line
        """Nothing."""
        return {}

    async def is_ready(self, output: str) -> bool:
        """It says so: subscribed, and Kafka has answered."""
        return "ready\n" in output


def topic_of(prefix: str) -> str:
    """The topic that the events of a run go to."""
    return f"{prefix}.acknowledgements.v1"


def launch(contender: Contender, site: Site, prefix: str) -> MeasuredProcess:
    """Start a contender."""
    log = site.directory / f"{prefix}.log"
    return MeasuredProcess(contender.command(site, prefix), contender.environment(site, prefix), log)
