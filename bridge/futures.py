"""Looking at how a future ended: asyncio reports an error that nobody looks at as an error of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Future


def error_of(future: Future[Any]) -> BaseException | None:
    """Return the error that the future ended with, which counts as looked at; None for any other end, or none yet.

    Serves as a done-callback too, where the error needs no more than to be looked at.
    """
    return future.exception() if future.done() and not future.cancelled() else None
