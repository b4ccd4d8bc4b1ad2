"""An event loop whose clock runs faster: back-offs of seconds pass in milliseconds, with real sockets."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

SPEED: Final = 25
"""A deadline of 30 s is over in 1.2 s: long enough for a busy machine."""
T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: Sequence[tuple[selectors.SelectorKey, int]] = super().select(timeout and timeout / SPEED)
        return list(found)


class FastLoop(asyncio.SelectorEventLoop):
    """Runs `SPEED` times as fast as the clock."""

    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        """Return seconds, each `SPEED` to one of the clock."""
        return super().time() * SPEED


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on such a loop; a task that failed unseen fails the run."""
    failures: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: failures.append(context))
        result = runner.run(main)
    assert not failures, failures
    return result
