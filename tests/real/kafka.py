"""Apache Kafka on loopback: a broker that is its own controller, and where wanted others beside it."""

import asyncio
import base64
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tests.real.admin import kafka_admin
from tests.real.process import BUILD, JavaProcess, StartFailed, free_port
from tests.real.server import RealServer

_JARS = BUILD / "kafka"
_CLASSES = f"-XX:SharedArchiveFile={BUILD / 'kafka.jsa'}"
"""Prepared by tests/real/install for a quick start. Without that file, or with another JVM, Kafka starts too."""
_CHECKPOINT = BUILD / "kafka.checkpoint"
"""The features of Kafka's version, as StorageTool writes them into each data directory; from tests/real/install."""


@dataclass(frozen=True)
class Quorum:
    """What the brokers of one cluster have in common: its id, and the addresses of its controllers."""

    cluster: str
    controllers: tuple[str, ...]
    """The broker with the node id 1 is the first one's process, and so on."""

    @classmethod
    def of(cls, controllers: int) -> Self:
        """A new cluster."""
        return cls(_random_id(), tuple(f"127.0.0.1:{free_port()}" for _ in range(controllers)))

    @property
    def voters(self) -> str:
        """The controllers as Kafka's properties have them."""
        return ",".join(f"{node}@{address}" for node, address in enumerate(self.controllers, start=1))


class KafkaServer(ABC):
    """A Kafka that tests share: it serves clients, and no test may kill or pause it."""

    _java: Sequence[str] = (_CLASSES, "-cp", str(_JARS / "*"))
    _within: Sequence[str] = ()

    @property
    @abstractmethod
    def bootstrap(self) -> str:
        """The bootstrap server, host:port."""

    async def delete_topics(self, prefix: str) -> None:
        """Delete the topics whose names begin so: a restart reads each partition that there is again."""
        async with kafka_admin(self.bootstrap) as admin:
            names = [name for name in await admin.list_topics() if name.startswith(prefix)]
            if names:
                await admin.delete_topics(names)

    async def run_tool(self, tool: str, arguments: Sequence[str]) -> tuple[int, str]:
        """Run one of Kafka's own tools by the name of its class; return its status and its output."""
        with tempfile.TemporaryDirectory() as directory:
            return await self._run(tool, arguments, Path(directory) / "output.log")

    async def _run(self, tool: str, arguments: Sequence[str], log: Path) -> tuple[int, str]:
        options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", *self._java]
        process = JavaProcess([*options, tool, *arguments], log=log, name=tool.rpartition(".")[2], within=self._within)
        try:
            status = await process.finished(deadline=30)
        finally:
            await process.kill()
        return status, process.output()


class RealKafka(KafkaServer, RealServer):
    """A broker of Kafka with a data directory of its own: a cluster for itself, or one of several in a cluster.

    Its data and ports stay the same over `kill` and `restart`; `stop` removes the data.
    """

    name = "Kafka"
    prefix = "bridge-kafka-"

    def __init__(
        self,
        *,
        partitions: int = 1,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        advertised: Mapping[str, str] | None = None,
        scram: Sequence[str] = (),
        quorum: Quorum | None = None,
        node: int = 1,
        jars: Path = _JARS,
        within: Sequence[str] = (),
    ) -> None:
        """Nothing is started yet.

        `partitions`: of a topic created on first use. `properties`: server properties that replace the defaults.
        `listeners`: further ones, the name to its security protocol. `advertised`: the addresses that clients of these
        listeners are sent to, where they are not the listeners' own. `scram`: credentials, as StorageTool takes them.
        `quorum`: the cluster that this broker belongs to, where that has more than one. `node`: its node id; up to the
        number of controllers, it is one of them. `jars`: those of Kafka's version. `within`: as of ServerProcess.
        """
        super().__init__()
        self._prepared = jars == _JARS
        """What tests/real/install has prepared is for one version."""
        if not self._prepared:
            self._java = ("-cp", str(jars / "*"))
        self._quorum = quorum or Quorum.of(1)
        self._node = node
        self._within = within
        self._partitions = partitions
        self._overrides = dict(properties or {})
        self._listeners = {name: (protocol, free_port()) for name, protocol in (listeners or {}).items()}
        self._advertised = dict(advertised or {})
        self._scram = scram

    @property
    def bootstrap(self) -> str:
        """The bootstrap server, host:port; valid after `start`."""
        return f"127.0.0.1:{self._port}"

    def address(self, listener: str) -> str:
        """The address of one of the further listeners, host:port."""
        return f"127.0.0.1:{self._listeners[listener][1]}"

    @property
    def data(self) -> Path:
        """The directory with the segments of every partition; valid between `start` and `stop`."""
        return self._place() / "log"

    async def start(self) -> None:
        """Format a new data directory and start the broker; returns when it serves clients.

        Raises:
            StartFailed: with the end of its output.
        """
        self._port = free_port()
        await super().start()

    def _properties(self, directory: Path) -> dict[str, str]:
        clients = [
            f"PLAINTEXT://{self.bootstrap}",
            *(f"{name}://{self.address(name)}" for name in self._listeners),
        ]
        advertised = [
            clients[0],
            *(f"{name}://{self._advertised.get(name, self.address(name))}" for name in self._listeners),
        ]
        protocols = [f"{name}:{protocol}" for name, (protocol, _) in self._listeners.items()]
        controls = self._node <= len(self._quorum.controllers)
        controller = [f"CONTROLLER://{self._quorum.controllers[self._node - 1]}"] if controls else []
        return {
            "process.roles": "broker,controller" if controls else "broker",
            "node.id": str(self._node),
            "controller.quorum.voters": self._quorum.voters,
            "listeners": ",".join(clients + controller),
            "advertised.listeners": ",".join(advertised),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", *protocols]),
            "log.dirs": str(directory / "log"),
            "num.partitions": str(self._partitions),
            "auto.create.topics.enable": "true",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A restarted broker may register only when the session of its killed predecessor is over (default 9 s).
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            # A Kafka of the tests is idle mostly: the controller need not write two empty records a second.
            "metadata.max.idle.interval.ms": "0",
            # It reads every partition of a whole test run again: small indexes, and more than one at a time.
            "log.index.size.max.bytes": "65536",
            "num.recovery.threads.per.data.dir": "8",
            **self._overrides,
        }

    async def _format(self, directory: Path) -> None:
        """Make the data directory. StorageTool, a whole JVM, runs only if this process can't write the same files."""
        if self._prepared and not self._scram and not self._within and _CHECKPOINT.exists():
            self._format_without_tool(Path(self._properties(directory)["log.dirs"]))
            return
        arguments = ["format", "-t", self._quorum.cluster, "-c", str(directory / "server.properties")]
        arguments += (part for credential in self._scram for part in ("--add-scram", credential))
        status, output = await self._run("kafka.tools.StorageTool", arguments, directory / "output.log")
        if status != 0:
            raise StartFailed(f"Kafka's StorageTool ended with status {status}\n{output}")

    def _format_without_tool(self, data: Path) -> None:
        data.mkdir()
        shutil.copyfile(_CHECKPOINT, data / "bootstrap.checkpoint")
        meta = {
            "version": "1",
            "cluster.id": self._quorum.cluster,
            "node.id": str(self._node),
            "directory.id": _random_id(),
        }
        (data / "meta.properties").write_text(_lines(meta))

    async def _launch(self, directory: Path) -> None:
        if not (directory / "server.properties").exists():
            (directory / "server.properties").write_text(_lines(self._properties(directory)))
            await self._format(directory)
        self._process = JavaProcess(
            ["-Xmx512m", *self._java, "kafka.Kafka", str(directory / "server.properties")],
            log=directory / "output.log",
            name="Kafka",
            within=self._within,
        )
        await self._process.ready(self._serves, deadline=60)

    async def _serves(self) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self._port), 5)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        except KafkaError:
            return False
        finally:
            await client.close()


def _lines(properties: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _random_id() -> str:
    # One that starts with a dash would be read as an option.
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
