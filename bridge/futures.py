"""Retrieval of a future's error. asyncio logs an error that nobody has retrieved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Future


def error_of(future: Future[Any]) -> BaseException | None:
    """Return the future's error, None if the future has none, was cancelled or is not done.

    Pass this function to `add_done_callback` to keep asyncio from logging the error.
    """
    return future.exception() if future.done() and not future.cancelled() else None
