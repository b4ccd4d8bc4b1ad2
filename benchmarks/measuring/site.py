"""Where all candidates run: the two real servers, and a directory for the logs."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.real import RealKafka, RealWebServices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

USER: Final = "agent"
PASSWORD: Final = "secret"


@dataclass(frozen=True)
class Site:
    """The servers, both on loopback, and the directory."""

    kafka: RealKafka
    web_services: RealWebServices
    directory: Path


@asynccontextmanager
async def running_site(accounts: int) -> AsyncIterator[Site]:
    """Start both servers, Web Services with this number of accounts. At the end nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as directory:
        async with RealKafka() as kafka:
            web_services = RealWebServices()
            await web_services.start(users=users(accounts))
            async with web_services:
                yield Site(kafka, web_services, Path(directory))


def users(count: int) -> Mapping[str, str]:
    """Names and passwords of the server's accounts; the first one is `USER`."""
    return {USER: PASSWORD} | {f"{USER}-{number}": PASSWORD for number in range(1, count)}
