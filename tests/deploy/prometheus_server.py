"""Prometheus as an operating system process, on loopback, with the bridge's rules and some targets."""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.real.process import free_port
from tests.tools.required import require_tool

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "bridge.rules.yaml"
DEADLINE = 20.0
"""Seconds that its start, or a look at what has just happened, may take."""
_POLL = 0.05


class PrometheusServer:
    """Scrapes `targets` (host:port) and evaluates the rules once a second. Its data lies in `directory`.

    It cannot outlive the tests: the kernel kills it when they die (`setpriv --pdeathsig`, where util-linux has it).
    """

    def __init__(self, directory: Path, *targets: str) -> None:
        self._directory = directory
        self._program = require_tool("prometheus")
        self._url = f"http://127.0.0.1:{free_port()}"
        self._targets = targets
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "bridge", "static_configs": [{"targets": self._targets}]}],
        }
        (self._directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *guard,
                self._program,
                f"--config.file={self._directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._directory / 'tsdb'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
                stdout=log,
                stderr=log,
            )
        try:
            await self._until(lambda: self._scraped_since(0))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def caught_up(self) -> None:
        """Return once it has scraped what has happened until now, and its rules have seen that."""
        now = time.time()
        await self._until(lambda: self._scraped_since(now))
        scraped = time.time()
        await self._until(lambda: self._evaluated_since(scraped))

    async def range(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """The series of an expression, second by second; AssertionError where Prometheus can't evaluate it."""
        # Steps count from the start: the last one before the end may miss what was evaluated last.
        query = {"query": expression, "start": str(start), "end": str(end + 1), "step": "1"}
        return list((await self._get("query_range", query))["result"])

    async def now(self, expression: str) -> list[float]:
        """The present values of the series of an expression."""
        return [float(one["value"][1]) for one in (await self._get("query", {"query": expression}))["result"]]

    async def label_values(self, metric: str, label: str) -> list[str]:
        """The values that a label of a metric has."""
        return list(await self._get(f"label/{label}/values", {"match[]": metric}))

    async def rules(self) -> list[dict[str, Any]]:
        """The rules, with the health of their last evaluation."""
        return [rule for group in (await self._get("rules", {}))["groups"] for rule in group["rules"]]

    async def _get(self, what: str, query: dict[str, str]) -> Any:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{self._url}/api/v1/{what}", params=query) as response,
        ):
            answer = await response.json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return answer["data"]

    async def _scraped_since(self, at: float) -> bool:
        return bool((await self._get("query", {"query": f"up == 1 and timestamp(up) > {at}"}))["result"])

    async def _evaluated_since(self, at: float) -> bool:
        return all(datetime.fromisoformat(rule["lastEvaluation"]).timestamp() > at for rule in await self.rules())

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it answers, and the condition holds."""
        async with asyncio.timeout(DEADLINE):
            while True:
                if self._process is not None and self._process.returncode is not None:
                    log = (self._directory / "prometheus.log").read_text(errors="replace")
                    raise AssertionError(f"Prometheus ended with status {self._process.returncode}\n{log[-2000:]}")
                with suppress(aiohttp.ClientError):
                    if await condition():
                        return
                await asyncio.sleep(_POLL)

    async def _end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
