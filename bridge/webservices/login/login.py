"""The login of one account: Basic once, then the session cookie, and the CSRF token that lives as long as it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
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
"""statusCodes of the login besides 20 that a repetition only makes worse: locked, not permitted, password outdated."""
RENEWAL_CAP: Final = 30.0
"""The longest wait, in seconds, before a new login while Web Services keeps forgetting logins."""
SHORT_PAUSE: Final = 1.0
"""Seconds before a new login that callers wait for; before a longer pause they are refused."""
LOOKS: Final = 4
"""Requests at the same time that show whether a login is kept: each may reach another node."""

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

    Logs in at the first need, and again when a reply says that the login has ended; callers that need a login at the
    same time share one attempt, its failure too. A refused password is tried again only every `retry_interval` seconds,
    because accounts get locked; in between callers are refused here. Logins that end within a minute, several in a row,
    are renewed ever more slowly. `request_timeout` (s) bounds each exchange, and each caller's wait.

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
        self._refused = metrics.login_refused.labels(account)
        metrics.login_not_kept.labels(account).set_function(lambda: float(self.not_kept))
        self._status = LoginStatus(LoginState.UNKNOWN, time.time())
        self._not_before = 0.0

    @property
    def status(self) -> LoginStatus:
        """What is known of the login now."""
        return self._status

    @property
    def not_kept(self) -> bool:
        """Whether Web Services forgets each login at once: true until a login has lived for a minute."""
        return self._guard.dies_young

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
            LoginNotKept: logins have been forgotten at once, and the next one is not due yet.
            UpstreamError: Web Services can't be asked now.
        """
        if not self._logged_in():
            await self._join(self._log_in)
        return self._csrf

    async def challenged(self, reply: HttpReply, *, sent_at: float) -> bool:
        """Renew what a refused request lacks; return whether sending it again makes sense (the caller counts).

        `sent_at` is when the request was sent (`time.monotonic`): a login that is newer needs no renewal.

        Raises:
            LoginRefused, LoginNotKept, UpstreamError: as `headers`.
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
        """Ask Web Services several times at once whether it knows the login; log in first where that is due.

        Raises:
            LoginRefused, LoginNotKept, UpstreamError: as `headers`.
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
        return self._status.state is LoginState.LOGGED_IN

    def _ended(self) -> None:
        """Note that Web Services has forgotten the login."""
        if not self._logged_in():
            return
        was_not_kept = self.not_kept
        self._not_before = self._clock() + self._guard.delay()
        self._enter(LoginState.UNKNOWN)
        if self.not_kept and not was_not_kept:
            log.warning("login-not-kept", account=self._account, effect="the bridge logs in less and less often")

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
        if self._status.state is LoginState.REFUSED:
            raise LoginRefused(f"Web Services refused the account {self._account}; next attempt in {wait:.0f} s")
        if wait > SHORT_PAUSE:
            raise LoginNotKept(
                f"Web Services forgets each login of the account {self._account} at the next request (is the balancer"
                f" sticky?); next login in {wait:.0f} s"
            )
        await asyncio.sleep(wait)

    async def _log_in(self) -> None:
        await self._await_turn()
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
        self._not_before = 0.0
        self._guard.opened()
        self._enter(LoginState.LOGGED_IN)
        log.info("logged-in", account=self._account)
        if not self._profile.may_do_outbound:
            log.warning("feature-missing", account=self._account, feature=OUTBOUND_FEATURE)

    def _refuse(self, reason: str) -> None:
        """Note the refusal, and raise it."""
        self._not_before = self._clock() + self._retry_interval
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
        """Keep the CSRF header that a GET advertises; one that can't be used counts as none."""
        csrf = csrf_header(reply.headers)
        if csrf is None and self._usable_csrf:
            log.warning("csrf-header-unusable", account=self._account, effect="requests go out without a CSRF token")
        self._usable_csrf = csrf is not None
        self._csrf = csrf or NO_HEADERS
        self._renewed_at = self._clock()
