"""Shows where the bridge's CPU time goes: a flame graph for each path, from py-spy.

`make profile` writes `profiles/<path>.svg`, which a browser shows. `make profile PROFILE_ARGS="--only calls"` profiles
only one path. The servers are real, and run on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.candidates.bridge import EXACTLY_ONCE, Bridge, url_of
from benchmarks.candidates.candidate import own_topics, started
from benchmarks.measuring.calls import calling
from benchmarks.measuring.load import burst, latencies
from benchmarks.measuring.site import running_site
from benchmarks.measuring.topics import consuming
from benchmarks.measuring.traffic import MIXED, Numbers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from benchmarks.measuring.site import Site

DIRECTORY: Final = Path(__file__).parents[1] / "profiles"
PY_SPY: Final = str(Path(sys.executable).with_name("py-spy"))
RATE: Final = 500
"""Samples a second."""
ACCOUNTS: Final = 200
SECONDS: Final = 8
"""Of calls, and of events at a steady rate."""
BURST: Final = 100_000
"""Events that come as fast as the server can send them, three times."""
START: Final = 4
"""Seconds of a start."""
WARM_UP: Final = 20_000
END_DEADLINE: Final = 30.0


class NoProfile(RuntimeError):
    """py-spy could not record; the text is what it says."""


async def events(site: Site, graph: Path) -> None:
    """Bursts of mixed traffic to one account."""
    numbers = Numbers()
    async with (
        started(EXACTLY_ONCE, site, graph.stem) as (running, _),
        consuming(site.kafka.bootstrap, graph.stem) as reader,
    ):
        await burst(site, running, reader, MIXED, numbers.take(WARM_UP))
        async with _recorded(graph, "--pid", str(running.pids()[0])):
            for _ in range(3):
                await burst(site, running, reader, MIXED, numbers.take(BURST))


async def single_events(site: Site, graph: Path) -> None:
    """200 single events a second to one account, so that almost every event has a transaction of its own."""
    await _steadily(site, graph, EXACTLY_ONCE, 200)


async def accounts(site: Site, graph: Path) -> None:
    """1,000 events a second to 200 accounts in turn."""
    await _steadily(site, graph, Bridge("accounts", accounts=ACCOUNTS), 1000)


async def calls(site: Site, graph: Path) -> None:
    """REST calls on 32 connections."""
    async with (
        started(EXACTLY_ONCE, site, graph.stem) as (running, _),
        calling(graph.stem, url_of(running.outputs()[0]) or "", {}) as through,
    ):
        await through.at_once(SECONDS / 2)
        async with _recorded(graph, "--pid", str(running.pids()[0])):
            await through.at_once(SECONDS)


async def start(site: Site, graph: Path) -> None:
    """A first start, from the first import until the bridge waits for events."""
    [command] = EXACTLY_ONCE.commands(site, graph.stem)
    async with _recorded(graph, "--duration", str(START), "--", *command.line, environment=command.environment):
        await asyncio.sleep(START + 1)


PATHS: Final[Mapping[str, Callable[[Site, Path], Awaitable[None]]]] = {
    "events": events,
    "single-events": single_events,
    "accounts": accounts,
    "calls": calls,
    "start": start,
}


async def _steadily(site: Site, graph: Path, bridge: Bridge, rate: int) -> None:
    numbers, in_turn = Numbers(), bridge.accounts > 1
    async with (
        started(bridge, site, graph.stem) as (running, _),
        consuming(site.kafka.bootstrap, graph.stem) as reader,
    ):
        await burst(site, running, reader, MIXED, numbers.take(WARM_UP), in_turn=in_turn)
        async with _recorded(graph, "--pid", str(running.pids()[0])):
            await latencies(site, reader, MIXED, numbers.take(rate * SECONDS), rate=rate, in_turn=in_turn)


@asynccontextmanager
async def _recorded(graph: Path, *what: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """Record the threads that run Python code during the block, and write the graph at its end.

    Raises:
        NoProfile: py-spy failed, for example because the system does not let it read another process.
    """
    log = graph.with_suffix(".log")
    with log.open("wb") as output:
        recorder = await asyncio.create_subprocess_exec(
            *(PY_SPY, "record", "--gil", "--rate", str(RATE), "--output", str(graph), *what),
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield
        with contextlib.suppress(ProcessLookupError):
            recorder.send_signal(signal.SIGINT)
        async with asyncio.timeout(END_DEADLINE):
            await recorder.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            recorder.kill()
    _check(graph, log)


def _check(graph: Path, log: Path) -> None:
    said = log.read_text().strip()
    log.unlink()
    if not graph.exists():
        raise NoProfile(said or "py-spy wrote no graph")


async def run(names: Sequence[str]) -> None:
    """Profile the paths one after the other."""
    DIRECTORY.mkdir(exist_ok=True)
    async with running_site(ACCOUNTS) as site:
        for name in names:
            graph = DIRECTORY / f"{name}.svg"
            graph.unlink(missing_ok=True)
            async with own_topics(site, name):
                await PATHS[name](site, graph)
            sys.stdout.write(f"{graph.relative_to(Path.cwd())}: {(PATHS[name].__doc__ or '').strip()}\n")
            sys.stdout.flush()


def main() -> int:
    """Parse the command line, and profile; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PATHS, action="append", help="profile this path only; may be repeated")
    try:
        asyncio.run(run(parser.parse_args().only or list(PATHS)))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Exception as error:  # noqa: BLE001 -- the user gets one line for any failure
        sys.stderr.write(f"failed: {error or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
