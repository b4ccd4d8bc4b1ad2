"""One account's way to Web Services: bounded, repeated where that is safe, and over within a deadline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from bridge.backoff import Backoff
from bridge.errors import (
    Busy,
    LoginNotKept,
    LoginRefused,
    UpstreamError,
    UpstreamInvalidReply,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bridge.observability import metrics, tracing
from bridge.webservices import outbound_record_path, repeatable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.operations.limits import Limits
    from bridge.webservices import UpstreamReply

GATEWAY: Final = frozenset({502, 503, 504})
"""HTTP statuses without a statusCode by which something in front of Web Services says that it can't reach it."""
PATIENCE: Final = 5
"""Attempts while a caller waits: about 1.5 s, then it hears that Web Services is away."""
RETRY_AFTER: Final = 1


class OperationClient(Protocol):
    """Web Services with one account's login: `bridge.webservices.WebServicesClient`."""

    async def forward(self, path: str, body: Mapping[str, object]) -> UpstreamReply:
        """POST an operation, once, and return the verdict of an accepted one.

        Raises:
            UpstreamError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a forwarding went: the reply of an accepted operation, or the error."""

    reply: UpstreamReply | None
    error: UpstreamError | None
    sent: int
    """How many times the request has reached, or may have reached, Web Services."""


class AccountForwarder:
    """At most `concurrency` requests at a time, and `waiting_room` more that wait for their turn."""

    def __init__(self, client: OperationClient, account: str, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.concurrency)
        self._inside = 0
        self._retries = metrics.operation_retries.labels(account)

    def enter(self) -> None:
        """Take a place, before anything is done about an operation; `leave` gives it back after the verdict.

        Raises:
            Busy: there is none left.
        """
        if self._inside >= self._limits.concurrency + self._limits.waiting_room:
            raise Busy("Too many operations are under way; nothing was forwarded.", retry_after=RETRY_AFTER)
        self._inside += 1

    def leave(self) -> None:
        """Give the place back."""
        self._inside -= 1

    async def forward(
        self,
        operation: str,
        record_handle: int | None,
        body: Mapping[str, object],
        *,
        persistent: bool = False,
        traceparent: str | None = None,
        acknowledged: Callable[[], Awaitable[bool]] | None = None,
    ) -> Verdict:
        """Bring a request to Web Services.

        Args:
            operation: the `operationName`.
            record_handle: None where the request names its record itself.
            body: the request.
            persistent: nobody waits, so the deadline alone ends the attempts.
            traceparent: the trace context that the request belongs to.
            acknowledged: asked before the request is sent again: what has been acknowledged meanwhile is not.
        """
        harmless = repeatable(operation)
        path = outbound_record_path(record_handle)
        sent = attempts = 0
        backoff = Backoff(first=0.2, cap=2.0)
        until = asyncio.get_running_loop().time() + self._limits.forward_deadline
        error: UpstreamError = UpstreamUnreachable(
            f"{self._limits.concurrency} requests are under way already; Web Services is too slow for more", sent=False
        )
        deadline = asyncio.timeout_at(until)
        try:
            async with deadline, self._turns:
                while True:
                    attempts += 1
                    error = UpstreamTimeout(f"Web Services gave no verdict within {self._limits.forward_deadline:g} s")
                    sent += 1
                    try:
                        with tracing.span(f"forward {operation}", tracing.SpanKind.CLIENT, traceparent) as span:
                            span.set_attributes(
                                {"http.request.method": "POST", "http.request.resend_count": attempts - 1}
                            )
                            reply = await self._client.forward(path, body)
                            span.set_attribute("http.response.status_code", reply.http_status)
                    except UpstreamError as failure:
                        error = failure
                    else:
                        return Verdict(reply, None, sent)
                    sent -= _never_left(error)
                    pause = backoff.next_delay()
                    late = asyncio.get_running_loop().time() + pause >= until
                    tired = not persistent and (attempts >= PATIENCE or _for_people(error))
                    if late or tired or not _again(error, harmless=harmless):
                        return Verdict(None, error, sent)
                    await asyncio.sleep(pause)
                    if acknowledged is not None and await acknowledged():
                        return Verdict(None, error, sent)
                    self._retries.inc()
        except TimeoutError:
            if not deadline.expired():
                raise
            return Verdict(None, error, sent)


def _again(error: UpstreamError, *, harmless: bool) -> bool:
    """Whether to try again: what was never sent always, what has no answer only where twice does no harm."""
    if _never_left(error):
        return not isinstance(error, LoginRefused)
    return harmless and (
        isinstance(error, UpstreamUnreachable)
        or (isinstance(error, UpstreamInvalidReply) and error.http_status in GATEWAY)
    )


def _for_people(error: UpstreamError) -> bool:
    """Whether people must put something right first: no caller should wait for that."""
    return isinstance(error, UpstreamUnreachable) and error.fault is not None


def _never_left(error: UpstreamError) -> bool:
    return isinstance(error, LoginRefused | LoginNotKept) or (isinstance(error, UpstreamUnreachable) and not error.sent)
