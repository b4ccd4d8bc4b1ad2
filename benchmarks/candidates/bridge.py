"""The bridge as a candidate."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from benchmarks.candidates.candidate import Command
from benchmarks.measuring.site import PASSWORD, USER, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring.site import Site

_COMMAND: Final = (str(Path(sys.executable).with_name("bridge")), "run")
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True)
class Bridge:
    """`bridge run` with everything at its default but what is named here. Several replicas are a fleet."""

    name: str
    delivery: str = "exactly-once"
    accounts: int = 1
    replicas: int = 1
    compression: str = "none"

    def commands(self, site: Site, prefix: str) -> Sequence[Command]:
        """One process for each replica."""
        return [Command(_COMMAND, self._environment(site, prefix, replica)) for replica in range(self.replicas)]

    async def is_ready(self, site: Site, outputs: Sequence[str]) -> bool:
        """Whether every replica is ready, owns slots, and every account has its session."""
        urls = [url_of(output) for output in outputs]
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as client:
            for url in urls:
                if url is None or not await _is_ready(client, url):
                    return False
            if self.replicas == 1:
                return True
            return all([await self._shares(client, f"{url}/fleet") for url in urls]) and await self._has_sessions(site)

    async def _shares(self, client: aiohttp.ClientSession, url: str) -> bool:
        """Whether all replicas share the accounts now, as one of them sees it."""
        async with client.get(url) as reply:
            replicas: list[dict[str, Any]] = (await reply.json())["replicas"]
        owners = [replica for replica in replicas if replica["slots"]]
        return len(owners) == self.replicas and sum(len(one["accounts"]) for one in owners) == self.accounts

    async def _has_sessions(self, site: Site) -> bool:
        sessions = await site.web_services.sessions()
        return users(self.accounts).keys() == {session.user for session in sessions if session.subscriptions}

    def _environment(self, site: Site, prefix: str, replica: int) -> dict[str, str]:
        environment = {
            "BRIDGE_WEB_SERVICES__URL": site.web_services.url,
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": site.kafka.bootstrap,
            "BRIDGE_KAFKA__TOPIC_PREFIX": prefix,
            "BRIDGE_KAFKA__DELIVERY": self.delivery,
            "BRIDGE_KAFKA__COMPRESSION": self.compression,
            "BRIDGE_HTTP__PORT": "0",
        }
        if self.accounts == 1:
            environment |= {"BRIDGE_WEB_SERVICES__USERNAME": USER, "BRIDGE_WEB_SERVICES__PASSWORD": PASSWORD}
        else:
            accounts = [
                {"name": name, "username": name, "password": word} for name, word in users(self.accounts).items()
            ]
            environment["BRIDGE_ACCOUNTS"] = msgspec.json.encode(accounts).decode()
        if self.replicas > 1:
            environment |= {"BRIDGE_FLEET__ENABLED": "true", "BRIDGE_FLEET__REPLICA": f"replica-{replica}"}
        return environment


def url_of(output: str) -> str | None:
    """The base URL of a bridge's REST side, from its log; None while it does not listen."""
    listening = re.search(r'^.*"event": ?"listening".*$', output, re.MULTILINE)
    url = re.search(r'"url": ?"([^"]+)"', listening[0]) if listening is not None else None
    return url[1] if url is not None else None


async def _is_ready(client: aiohttp.ClientSession, url: str) -> bool:
    async with client.get(f"{url}/health/ready") as reply:
        return reply.status == 200


EXACTLY_ONCE: Final = Bridge("exactly-once")
AT_LEAST_ONCE: Final = Bridge("at-least-once", delivery="at-least-once")
