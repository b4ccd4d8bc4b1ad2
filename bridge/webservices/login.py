"""The login of one account: Basic once, then the session cookie, and the CSRF token that lives as long as it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from bridge.cometd import NO_HEADERS
from bridge.errors import LoginRefused, UpstreamRejected
from bridge.observability import metrics
from bridge.webservices.exchange import exchange
from bridge.webservices.profile import OUTBOUND_FEATURE, Profile, profile
from bridge.webservices.replies import Challenge, challenge, verdict
from bridge.webservices.statuscodes import OK, PASSWORD_CHANGE_DEMANDED, status_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.cometd import HttpReply, HttpSession

ME: Final = "/api/v2/me?subresources=features,devices,channels"
REFUSALS: Final = frozenset({3, 5, PASSWORD_CHANGE_DEMANDED})
"""statusCodes of the login besides 20 that a repetition only makes worse: locked, not permitted, password outdated."""

log = structlog.get_logger(__name__)


class LoginState(StrEnum):
    """What is known of the login."""

    UNKNOWN = "unknown"
    LOGGED_IN = "logged-in"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LoginStatus:
    """The login as readiness shows it; times in seconds since the epoch."""

    state: LoginState
    since: float
    next_attempt: float | None = None
    """When a refused password is tried again, at the earliest."""


class Login:
    """The account's credentials for CometD and REST alike (implements `bridge.cometd.http.Credentials`).

    Logs in at the first need, and again when a reply says that the login has ended; requests that meet the same end
    share one new login. A refused password is tried again only every `retry_interval` seconds, because accounts get
    locked; in between callers are refused here. `request_timeout` is in seconds too.

    Source: wire logs of Workspace Web Edition (Basic only on GET /api/v2/me) and the page CSRF Protection (any GET
    tells the name and the value of the header that each POST must carry).
    """

    def __init__(
        self,
        http: HttpSession,
        *,
        account: str,
        username: str,
        password: str,
        request_timeout: float,
        retry_interval: float,
    ) -> None:
        self._http = http
        self._account = account
        self._basic = {"Authorization": aiohttp.encode_basic_auth(username, password)}
        self._request_timeout = request_timeout
        self._retry_interval = retry_interval
        self._lock = asyncio.Lock()
        self._renewals = 0
        self._csrf: Mapping[str, str] = NO_HEADERS
        self._profile = Profile()
        self._refused = metrics.login_refused.labels(account)
        self._status = LoginStatus(LoginState.UNKNOWN, time.time())
        self._not_before = 0.0

    @property
    def status(self) -> LoginStatus:
        """What is known of the login now."""
        return self._status

    async def profile(self) -> Profile:
        """Return the account's features and devices, as the newest login told them; log in first where that is due.

        Raises:
            LoginRefused, UpstreamError: as `headers`.
        """
        await self.headers()
        return self._profile

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that a POST needs besides the cookies; log in first where that is due.

        Raises:
            LoginRefused: the password is wrong, or was a short time ago.
            UpstreamError: Web Services can't be asked now.
        """
        if not self._logged_in():
            async with self._lock:
                if not self._logged_in():  # another request may have logged in while this one waited
                    await self._log_in()
        return self._csrf

    async def challenged(self, reply: HttpReply) -> bool:
        """Renew what a refused request lacks; return whether sending it again makes sense (once: the caller counts).

        Raises:
            LoginRefused: the password is wrong, or was a short time ago.
            UpstreamError: Web Services can't be asked now.
        """
        asked, seen = challenge(reply), self._renewals
        if asked is Challenge.NONE:
            return False
        async with self._lock:
            if self._renewals != seen:
                return True
            if asked is Challenge.CSRF:
                return await self._renew_token()
            if self._logged_in():
                self._enter(LoginState.UNKNOWN)
            await self._log_in()
            return True

    def _logged_in(self) -> bool:
        return self._status.state is LoginState.LOGGED_IN

    async def _renew_token(self) -> bool:
        reply = await exchange(self._http, "GET", ME, timeout=self._request_timeout)
        if challenge(reply) is Challenge.LOGIN:
            await self._log_in()
        else:
            verdict(reply)
            self._take_token(reply)
            self._renewals += 1
        return bool(self._csrf)

    async def _log_in(self) -> None:
        wait = self._not_before - time.monotonic()
        if wait > 0:
            raise LoginRefused(f"Web Services refused the account {self._account}; next attempt in {wait:.0f} s")
        reply = await exchange(self._http, "GET", ME, headers=self._basic, timeout=self._request_timeout)
        if challenge(reply) is Challenge.LOGIN:
            self._refuse("its name or password is wrong")
        answer = verdict(reply)
        if answer.status_code in REFUSALS:
            self._refuse(status_code(answer.status_code).meaning)
        if answer.status_code != OK:
            raise UpstreamRejected(
                f"Web Services can't log in the account {self._account}: {status_code(answer.status_code).meaning}",
                http_status=answer.http_status,
                status_code=answer.status_code,
                status_message=answer.status_message,
            )
        self._take_token(reply)
        self._profile = profile(reply)
        self._renewals += 1
        self._not_before = 0.0
        self._enter(LoginState.LOGGED_IN)
        log.info("logged-in", account=self._account)
        if not self._profile.may_do_outbound:
            log.warning("feature-missing", account=self._account, feature=OUTBOUND_FEATURE)

    def _refuse(self, reason: str) -> None:
        """Note the refusal, and raise it."""
        self._not_before = time.monotonic() + self._retry_interval
        self._csrf = NO_HEADERS
        self._enter(LoginState.REFUSED)
        log.error("login-refused", account=self._account, reason=reason, retry_seconds=self._retry_interval)
        raise LoginRefused(f"Web Services refused the account {self._account}: {reason}")

    def _enter(self, state: LoginState) -> None:
        now = time.time()
        since = self._status.since if self._status.state is state else now
        next_attempt = now + self._retry_interval if state is LoginState.REFUSED else None
        self._status = LoginStatus(state, since, next_attempt)
        self._refused.set(state is LoginState.REFUSED)

    def _take_token(self, reply: HttpReply) -> None:
        """Keep the CSRF header that a GET advertises; no such header means that the protection is off."""
        name, token = reply.headers.get("X-CSRF-HEADER"), reply.headers.get("X-CSRF-TOKEN")
        self._csrf = {name: token} if name and token else NO_HEADERS
