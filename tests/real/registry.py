"""Apicurio Registry, which serves Confluent's API: on loopback, its schemas in memory."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from tests.real.process import BUILD, JavaProcess, StartFailed, free_port

_READY_TIMEOUT = aiohttp.ClientTimeout(total=2)


class RealRegistry:
    """The registry as a process; its address is known before it is started."""

    def __init__(self) -> None:
        self._port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="bridge-registry-")
        self._process: JavaProcess | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where it serves Confluent's API."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    async def start(self) -> None:
        """Start the registry, without any schema; returns when it serves clients.

        Raises:
            StartFailed: with the end of its output.
        """
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
            log=Path(self._directory.name) / "output.log",
            name="the schema registry",
        )
        await self._process.ready(self._serves, deadline=60)

    async def kill(self) -> None:
        """End it with SIGKILL; its schemas are gone."""
        if self._process is not None:
            await self._process.kill()
            self._process = None

    async def stop(self) -> None:
        """End it and remove its log. Calling it again does nothing."""
        await self.kill()
        self._directory.cleanup()

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
