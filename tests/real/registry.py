"""Apicurio Registry, which serves Confluent's API: on loopback, its schemas in memory."""

from pathlib import Path

import aiohttp

from tests.real.process import BUILD, JavaProcess, StartFailed, free_port
from tests.real.server import RealServer

_READY_TIMEOUT = aiohttp.ClientTimeout(total=2)


class RealRegistry(RealServer):
    """The registry as a process; its address is known before it is started. With its process its schemas are gone."""

    name = "the schema registry"
    prefix = "bridge-registry-"

    def __init__(self) -> None:
        super().__init__()
        self._port = free_port()

    @property
    def url(self) -> str:
        """Where it serves Confluent's API."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    async def _launch(self, directory: Path) -> None:
        properties = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self._port),
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            # Confluent's registry finds a schema whatever its white space; so does this one.
            "apicurio.ccompat.use-canonical-hash": "true",
        }
        self._process = JavaProcess(
            ["-Xmx256m", *(f"-D{name}={value}" for name, value in properties.items()), "-jar", _application()],
            log=directory / "output.log",
            name=self.name,
        )
        await self._process.ready(self._serves, deadline=60)

    async def _serves(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=_READY_TIMEOUT) as client,
                client.get(f"http://127.0.0.1:{self._port}/health/ready") as reply,
            ):
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


def _application() -> str:
    found = sorted((BUILD / "registry").rglob("apicurio-registry-app-*-runner.jar"))
    if not found:
        raise StartFailed("no schema registry in tests/real/.build: run tests/real/install")
    return str(found[0])
