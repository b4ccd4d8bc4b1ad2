"""Forwards the requests of one account, with a limit on their number, safe retries and a deadline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

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
from bridge.pacing import Backoff
from bridge.webservices import outbound_record_path, repeatable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.operations.limits import Limits
    from bridge.webservices import UpstreamReply

GATEWAY: Final = frozenset({502, 503, 504})
"""HTTP statuses of a proxy that can't reach Web Services. Such replies have no statusCode."""
PATIENCE: Final = 5
"""Maximum number of attempts while a caller waits. If each attempt fails at once, all attempts take about 1.5 s."""
RETRY_AFTER: Final = 1
"""Seconds after which a refused caller may try again."""


class OperationClient(Protocol):
    """A client of Web Services with the login of one account. `bridge.webservices.WebServicesClient` is one."""

    async def forward(self, path: str, body: bytes) -> UpstreamReply:
        """POST an operation once, and return Web Services' reply that accepts it.

        Raises:
            UpstreamError: Web Services refused the operation, or gave no verdict.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a forwarding: the reply that accepts the operation, or the error."""

    reply: UpstreamReply | None
    error: UpstreamError | None
    sent: int
    """How many times the request has reached, or may have reached, Web Services."""


class AccountForwarder:
    """Sends at most `concurrency` requests at a time. At most `waiting_room` more requests wait."""

    def __init__(self, client: OperationClient, account: str, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.concurrency)
        self._inside = 0
        self._retries = metrics.operation_retries.labels(account)

    def enter(self) -> None:
        """Reserve a place for an operation, before any other step of the forwarding.

        After the verdict, `leave` frees the place.

        Raises:
            Busy: the account has too many operations under way.
        """
        if self._inside >= self._limits.concurrency + self._limits.waiting_room:
            raise Busy("Too many operations are under way. Nothing was forwarded.", retry_after=RETRY_AFTER)
        self._inside += 1

    def leave(self) -> None:
        """Free a place."""
        self._inside -= 1

    async def forward(
        self,
        operation: str,
        record_handle: int | None,
        body: bytes,
        *,
        persistent: bool = False,
        traceparent: str | None = None,
        acknowledged: Callable[[], Awaitable[bool]] | None = None,
    ) -> Verdict:
        """Send a request to Web Services, and again after a failure if that is safe.

        Args:
            operation: the `operationName`.
            record_handle: the handle in the path, None if the request itself names its record.
            body: the request, in JSON.
            persistent: whether to retry until the deadline, because no caller waits.
            traceparent: the trace context of the request.
            acknowledged: called before each retry. If this function returns True, the operation is done and there is no
            retry.
        """
        harmless = repeatable(operation)
        path = outbound_record_path(record_handle)
        sent = attempts = 0
        backoff = Backoff(first=0.2, cap=2.0)
        until = asyncio.get_running_loop().time() + self._limits.forward_deadline
        error: UpstreamError | None = None  # of the last attempt; None before the first, and while an attempt runs
        deadline = asyncio.timeout_at(until)
        try:
            async with deadline, self._turns:
                while True:
                    attempts += 1
                    error = None
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
            return Verdict(None, error or self._out_of_time(sent), sent)

    def _out_of_time(self, sent: int) -> UpstreamError:
        """Return the error for a request whose deadline has passed before, or during, an attempt."""
        if sent:
            return UpstreamTimeout(f"Web Services gave no verdict within {self._limits.forward_deadline:g} s")
        return UpstreamUnreachable(
            f"Web Services is too slow: {self._limits.concurrency} earlier requests of this account still wait for "
            "their answers. This request was not sent.",
            sent=False,
        )


def _again(error: UpstreamError, *, harmless: bool) -> bool:
    """Return whether to retry.

    The bridge always retries a request that was never sent, except after a refused login. It retries a request that may
    have been sent only if a second request is `harmless` and Web Services itself has not answered.
    """
    if _never_left(error):
        return not isinstance(error, LoginRefused)
    return harmless and (
        isinstance(error, UpstreamUnreachable)
        or (isinstance(error, UpstreamInvalidReply) and error.http_status in GATEWAY)
    )


def _for_people(error: UpstreamError) -> bool:
    """Return whether retries are useless until a person has corrected something, for example a certificate."""
    return isinstance(error, UpstreamUnreachable) and error.fault is not None


def _never_left(error: UpstreamError) -> bool:
    return isinstance(error, LoginRefused | LoginNotKept) or (isinstance(error, UpstreamUnreachable) and not error.sent)
