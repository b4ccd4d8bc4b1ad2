"""The login of one account: Basic authentication once, then the session cookie and the CSRF token."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import aiohttp
import structlog

from bridge.cometd import NO_HEADERS, RenewalGuard
from bridge.errors import LoginNotKept, LoginRefused, UpstreamRejected, UpstreamTimeout
from bridge.observability import metrics
from bridge.webservices.exchange import exchange
from bridge.webservices.login.attempt import SharedAttempt
from bridge.webservices.login.csrf import csrf_header
from bridge.webservices.login.profile import OUTBOUND_FEATURE, Profile, profile
from bridge.webservices.replies import Challenge, challenge, verdict
from bridge.webservices.statuscodes import OK, PASSWORD_CHANGE_DEMANDED, status_code

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from bridge.cometd import HttpReply, HttpSession

ME: Final = "/api/v2/me?subresources=features,devices,channels"
REFUSALS: Final = frozenset({3, 5, PASSWORD_CHANGE_DEMANDED})
"""statusCodes besides 20 that mean a refused login: account locked, not permitted, password outdated."""
RENEWAL_CAP: Final = 30.0
"""Longest pause between two logins, in seconds, if Web Services forgets each login at once."""
SHORT_PAUSE: Final = 1.0
"""Seconds. If the next login is due within this time, callers wait for it. If it is due later, callers get an error."""
LOOKS: Final = 4
"""Number of simultaneous requests that check whether a login is kept. Each request may reach another server."""

log = structlog.get_logger(__name__)


class LoginState(StrEnum):
    """The states of a login."""

    UNKNOWN = "unknown"
    LOGGED_IN = "logged-in"
    REFUSED = "refused"


class Login:
    """The account's login for CometD and REST (implements `bridge.cometd.Credentials`).

    The class logs in when a caller first needs a login, and again when a reply shows that the login has ended. Callers
    that need a login at the same time share one attempt. After a refused login the next attempt comes `retry_interval`
    seconds later, because Web Services may lock the account. Until the next attempt callers get an error. After each
    login that ends within a minute, the next login comes later. `request_timeout` (s) limits each exchange and each
    caller's wait.

    `relayed` returns whether this process relays the account. Only a relay repeats a refused login. So while this
    process does not relay the account, the metrics of the account's login are 0.

    Source: wire logs of Workspace Web Edition (Basic authentication only for GET /api/v2/me), and the page CSRF
    Protection.
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
        relayed: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._account = account
        self._basic = {"Authorization": aiohttp.encode_basic_auth(username, password)}
        self._request_timeout = request_timeout
        self._retry_interval = retry_interval
        self._clock = clock
        self._attempt = SharedAttempt[None]()
        self._guard = RenewalGuard(cap=RENEWAL_CAP, clock=clock)
        self._renewed_at = 0.0
        self._usable_csrf = True
        self._csrf: Mapping[str, str] = NO_HEADERS
        self._profile = Profile()
        metrics.login_refused.labels(account).set_function(
            lambda: float(relayed() and self.state is LoginState.REFUSED)
        )
        metrics.login_not_kept.labels(account).set_function(lambda: float(relayed() and self.not_kept))
        self.state = LoginState.UNKNOWN
        self._not_before = 0.0

    @property
    def not_kept(self) -> bool:
        """Whether several logins in a row ended early. True until a login has lasted a minute."""
        return self._guard.dies_young

    def change_password(self, username: str, password: str) -> None:
        """Log in with another password before the next request. The cookies stay, so the CometD session continues."""
        self._basic = {"Authorization": aiohttp.encode_basic_auth(username, password)}
        self._not_before = 0.0
        self.state = LoginState.UNKNOWN

    async def profile(self) -> Profile:
        """Return the account's features and devices from the newest login. Log in first if necessary.

        Raises:
            LoginRefused, UpstreamError: see `headers`.
        """
        await self.headers()
        return self._profile

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that a POST needs besides the cookies. Log in first if necessary.

        Raises:
            LoginRefused: Web Services has refused the account's name or password. Until the next allowed attempt this
                is raised without asking Web Services again.
            LoginNotKept: Web Services forgets each login at once, and the next login is not due yet.
            UpstreamError: the login failed.
        """
        if not self._logged_in():
            await self._join(self._log_in)
        return self._csrf

    async def challenged(self, reply: HttpReply, *, sent_at: float) -> bool:
        """Renew the login or token that a refused request lacked. Return whether the caller may repeat the request.

        `sent_at` is when the request was sent (`time.monotonic`). A login newer than the request is not renewed. The
        caller must limit its repetitions.

        Raises:
            LoginRefused, LoginNotKept, UpstreamError: see `headers`.
        """
        asked = challenge(reply)
        if asked is Challenge.NONE:
            return False
        if self._logged_in() and sent_at < self._renewed_at:
            return True
        if asked is Challenge.CSRF:
            await self._join(self._renew_token)
            return bool(self._csrf)
        self._ended()
        await self._join(self._log_in)
        return True

    async def is_kept(self) -> bool:
        """Return whether several simultaneous requests all find the account logged in. Log in first if necessary.

        Raises:
            LoginRefused, LoginNotKept, UpstreamError: see `headers`.
        """
        await self.headers()
        looks = (exchange(self._http, "GET", ME, timeout=self._request_timeout) for _ in range(LOOKS))
        return all(challenge(reply) is not Challenge.LOGIN for reply in await asyncio.gather(*looks))

    async def _join(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await self._attempt.join(work, within=self._request_timeout)
        except TimeoutError:
            raise UpstreamTimeout(f"Web Services did not log in within {self._request_timeout:g} s") from None

    def _logged_in(self) -> bool:
        return self.state is LoginState.LOGGED_IN

    def _ended(self) -> None:
        """Record that Web Services has forgotten the login, as a reply has shown."""
        if not self._logged_in():
            return
        was_not_kept = self.not_kept
        self._not_before = self._clock() + self._guard.delay()
        self.state = LoginState.UNKNOWN
        if self.not_kept and not was_not_kept:
            log.warning("login-not-kept", account=self._account, effect="the pauses between logins grow")

    async def _renew_token(self) -> None:
        reply = await exchange(self._http, "GET", ME, timeout=self._request_timeout)
        if challenge(reply) is Challenge.LOGIN:
            self._ended()
            await self._log_in()
        else:
            verdict(reply)
            self._take_token(reply)

    async def _await_turn(self) -> None:
        wait = self._not_before - self._clock()
        if wait <= 0:
            return
        if self.state is LoginState.REFUSED:
            raise LoginRefused(f"Web Services refused the account {self._account}; next attempt in {wait:.0f} s")
        if wait > SHORT_PAUSE:
            raise LoginNotKept(
                f"Web Services forgets each login of the account {self._account} at the next request (is the balancer"
                f" sticky?); next login in {wait:.0f} s"
            )
        await asyncio.sleep(wait)

    async def _log_in(self) -> None:
        await self._await_turn()
        basic = self._basic
        reply = await exchange(self._http, "GET", ME, headers=basic, timeout=self._request_timeout)
        if basic is not self._basic:  # the password has changed meanwhile, so this reply says nothing about the new one
            await self._log_in()
            return
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
        self._not_before = 0.0
        self._guard.opened()
        self.state = LoginState.LOGGED_IN
        log.info("logged-in", account=self._account)
        if not self._profile.may_do_outbound:
            log.warning("feature-missing", account=self._account, feature=OUTBOUND_FEATURE)

    def _refuse(self, reason: str) -> None:
        self._not_before = self._clock() + self._retry_interval
        self._csrf = NO_HEADERS
        self.state = LoginState.REFUSED
        log.error("login-refused", account=self._account, reason=reason, retry_seconds=self._retry_interval)
        raise LoginRefused(f"Web Services refused the account {self._account}: {reason}")

    def _take_token(self, reply: HttpReply) -> None:
        """Store the CSRF header from the reply to a GET. A header that can't be used is ignored."""
        csrf = csrf_header(reply.headers)
        if csrf is None and self._usable_csrf:
            log.warning(
                "csrf-header-unusable", account=self._account, effect="the bridge sends requests without a CSRF token"
            )
        self._usable_csrf = csrf is not None
        self._csrf = csrf or NO_HEADERS
        self._renewed_at = self._clock()
