"""An HTTP client for the bridge's REST API: submits an operation, and asks for its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import aiohttp
import msgspec

from bridge.commands.mark.results import ACKNOWLEDGED, INVALID, PENDING, REJECTED, TIMED_OUT, Outcome
from bridge.commands.remote.address import cause_of, read_token
from bridge.errors import UNDECODABLE, BridgeError, CommandFailed
from bridge.observability import printable
from bridge.webservices import outbound_record_path

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from bridge.commands.mark.entries import Entry

WAIT: Final = 20
"""Seconds that the bridge may wait for the outcome before it answers a submission (`Prefer: wait`)."""
TIMEOUT: Final = WAIT + 20.0
NO_ANSWER: Final = "no-answer"
LONGEST_REPLY: Final = 1 << 20
LONGEST_PAUSE: Final = 60.0
"""Maximum seconds of a Retry-After. Longer values are cut, because a faulty server could otherwise stop a run without
end."""
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses of temporary errors, from the bridge or from a proxy in front of the bridge."""
_NOT_THE_ROW: Final = frozenset({8, 20})
"""statusCodes by which Web Services refuses the bridge's login. The row can be submitted again."""


class TryAgain(BridgeError):
    """The bridge gave no answer, or reported a temporary error.

    `reason` is a stable word. `after` is the Retry-After in seconds, or None if the bridge sent none. `judged` is true
    if the bridge tried to forward this row and got no verdict, so that other rows may still succeed. `crowded` is true
    if the bridge accepts no more requests at the moment (429).
    """

    def __init__(
        self, reason: str, detail: str, *, after: float | None = None, judged: bool = False, crowded: bool = False
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.after = after
        self.judged = judged
        self.crowded = crowded


class _Reply(msgspec.Struct, rename="camel"):
    """The members that this client reads from the bridge's answers about operations, readiness and problems."""

    status: str | int = ""
    code: str = ""
    detail: str = ""
    status_code: int | None = None
    status_message: str | None = None
    upstream: dict[str, Any] | None = None
    acknowledgement: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []


class BridgeClient:
    """An HTTP client for one bridge. Use it as an asynchronous context manager."""

    def __init__(self, url: str, *, token_file: Path | None, concurrency: int) -> None:
        self._url = url
        self._token_file = token_file
        self._token = None if token_file is None else read_token(token_file)
        self._concurrency = concurrency
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._http is not None
        await self._http.close()

    async def ready(self) -> None:
        """Check that the bridge is ready, because a bridge without a CometD session receives no acknowledgements.

        If the bridge serves its health on another port, it counts as ready.

        Raises:
            TryAgain: the bridge is not ready, or does not answer.
        """
        status, reply, after = await self._ask("GET", "/health/ready")
        if status in _AGAIN:
            names = ", ".join(printable(str(one.get("name")), 60) for one in reply.missing) or f"HTTP {status}"
            raise TryAgain("not-ready", f"the bridge at {self._url} is not ready ({names})", after=after)

    async def submit(self, entry: Entry, reference_id: str) -> Outcome:
        """Submit an operation. Return its outcome, which is pending if it is not known within `WAIT` seconds.

        A submission can be repeated: the bridge forwards the same operation with the same referenceId only once.

        Raises:
            TryAgain: the bridge did not answer, reported a temporary error, or could not deliver the operation.
            CommandFailed: the bridge refused the request for a reason that concerns every row, such as its token.
        """
        headers = {"Prefer": f"respond-async, wait={WAIT}"}
        if entry.account is not None:
            headers["X-Account"] = entry.account
        path = outbound_record_path(entry.handle)
        return _outcome(*await self._ask("POST", path, headers=headers, json=entry.body(reference_id)))

    async def outcome(self, reference_id: str) -> Outcome | None:
        """Return the outcome of an operation, or None if the bridge does not know the operation.

        Raises:
            TryAgain, CommandFailed: for the same reasons as `submit`.
        """
        status, reply, after = await self._ask("GET", f"/operations/{quote(reference_id, safe='')}")
        if reply.code == "unknown-operation":
            return None
        return _outcome(status, reply, after)

    async def _ask(self, method: str, path: str, **arguments: Any) -> tuple[int, _Reply, float | None]:
        """Send a request. Return the HTTP status, the answer and Retry-After in seconds.

        After a 401 the token file is read again. If the token has changed, the request is repeated.
        """
        while True:
            sent = self._token
            try:
                status, body, after = await self._exchange(method, path, **arguments)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                raise TryAgain(NO_ANSWER, f"the bridge at {self._url} does not answer ({cause_of(error)})") from None
            if status == 401 and self._token_file is not None:
                self._token = read_token(self._token_file)
                if self._token != sent:
                    continue
            return status, _read(body), after

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str] | None = None, **arguments: Any
    ) -> tuple[int, bytes, float | None]:
        assert self._http is not None
        headers = dict(headers or {})
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        async with self._http.request(
            method, self._url + path, headers=headers, allow_redirects=False, **arguments
        ) as reply:
            body = await reply.content.read(LONGEST_REPLY)
            while not reply.content.at_eof() and len(body) < LONGEST_REPLY:
                body += await reply.content.read(LONGEST_REPLY - len(body))
            return reply.status, body, _seconds(reply.headers.get("Retry-After"))


def _outcome(status: int, reply: _Reply, after: float | None) -> Outcome:
    """Return the outcome in the bridge's answer to a submission or to a query."""
    if status in {200, 202} and isinstance(reply.status, str):
        return _told(reply)
    if reply.code in {"undelivered", "internal"} or reply.status_code in _NOT_THE_ROW:
        raise TryAgain(reply.code, reply.detail, after=after, judged=True)
    if reply.code == "upstream-rejected":
        words = reply.status_message or reply.detail
        return Outcome(REJECTED, f"status-code-{reply.status_code}", words)
    if status in _AGAIN:
        named = reply.code or f"http-{status}"
        raise TryAgain(named, reply.detail or f"the bridge answers HTTP {status}", after=after, crowded=status == 429)
    if reply.code == "reference-conflict":
        return Outcome(REJECTED, reply.code, "another row of this job's name was sent earlier; use another --job")
    if reply.code == "invalid-request":
        faults = [f"{one.get('name')}: {one.get('detail')}" for one in reply.errors]
        return Outcome(INVALID, reply.code, "; ".join(faults) or reply.detail)
    detail = printable(reply.detail, 300) or "this is not the answer of a bridge; is --url right?"
    if reply.code == "insufficient-scope":
        detail += " (the token needs operations:write and operations:read)"
    raise CommandFailed(f"the bridge refuses the request with HTTP {status} {printable(reply.code, 60)}: {detail}")


def _told(reply: _Reply) -> Outcome:
    """Return the outcome in the bridge's description of an operation."""
    status = str(reply.status)
    if status == ACKNOWLEDGED:
        return Outcome(status, acknowledgement_id=str((reply.acknowledgement or {}).get("id", "")))
    if status == TIMED_OUT:
        return Outcome(status, status, "Web Services reported no outcome in time; --retry-failed sends the row again")
    if status == REJECTED:
        upstream = reply.upstream or {}
        code = upstream.get("statusCode")
        if code is None or code in _NOT_THE_ROW:
            raise TryAgain("undelivered", "Web Services did not decide about the operation", judged=True)
        return Outcome(status, f"status-code-{code}", str(upstream.get("statusMessage") or ""))
    if status in PENDING:
        return Outcome(status, status, "the outcome was not known when the run ended")
    raise CommandFailed("the bridge answers with a status that this version does not know; is --url right?")


def _read(body: bytes) -> _Reply:
    try:
        return msgspec.json.decode(body, type=_Reply)
    except UNDECODABLE:
        return _Reply(status=0)


def _seconds(header: str | None) -> float | None:
    """Return Retry-After in seconds, at most `LONGEST_PAUSE`. A date is ignored, because the bridge sends none."""
    return min(float(header), LONGEST_PAUSE) if header is not None and header.isascii() and header.isdecimal() else None
