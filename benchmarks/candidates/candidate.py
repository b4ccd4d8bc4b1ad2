"""What every candidate has: how its processes are started, and when it is ready."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks.measuring.process import MeasuredProcess, Running
from benchmarks.measuring.topics import create_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.measuring.site import Site

START_DEADLINE: Final = 60.0


@dataclass(frozen=True)
class Command:
    """One process of a candidate: its command line, and the variables that it needs beside the inherited ones."""

    line: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class CandidateFailed(RuntimeError):
    """Something went wrong while a candidate ran; the text ends with the last lines of its output."""


class Candidate(Protocol):
    """A bridge."""

    @property
    def name(self) -> str:
        """As the tables call it."""

    def commands(self, site: Site, prefix: str) -> Sequence[Command]:
        """The candidate's processes. `prefix` is that of the run's topics."""

    async def is_ready(self, site: Site, outputs: Sequence[str]) -> bool:
        """Whether events flow now, given the output of each process so far."""


@asynccontextmanager
async def started(candidate: Candidate, site: Site, prefix: str) -> AsyncIterator[tuple[Running, float]]:
    """Start a candidate; give its processes and the seconds until it was ready. At the end its processes end.

    A planned end is SIGTERM, so that the candidate keeps its session. After an error the end is SIGKILL.

    Raises:
        CandidateFailed: it was not ready in time, or whatever was done with it failed.
    """
    running = Running(
        [
            MeasuredProcess(command.line, command.environment, site.directory / f"{prefix}-{number}.log")
            for number, command in enumerate(candidate.commands(site, prefix))
        ]
    )
    try:
        seconds = await running.ready(lambda outputs: candidate.is_ready(site, outputs), deadline=START_DEADLINE)
        yield running, seconds
        await running.stop()
    except Exception as error:
        reasons = ", ".join(str(cause) or type(cause).__name__ for cause in _causes(error))
        raise CandidateFailed("\n".join([f"{candidate.name}: {reasons}", *running.tails()])) from error
    finally:
        running.kill()


def _causes(error: Exception) -> list[Exception]:
    """Return the errors that a task group has collected, or the error itself."""
    if isinstance(error, ExceptionGroup):
        return [cause for one in error.exceptions for cause in _causes(one)]
    return [error]


@asynccontextmanager
async def own_topics(site: Site, prefix: str) -> AsyncIterator[None]:
    """Create topics for one run of a candidate. At the end neither they nor its CometD sessions are left.

    The server would keep the sessions for maxInterval, and queue the next candidate's events in them. After an error
    nothing is removed, because the servers end too.
    """
    await create_topics(site.kafka.bootstrap, prefix)
    yield
    await site.web_services.expire_sessions()
    await site.kafka.delete_topics(f"{prefix}.")
