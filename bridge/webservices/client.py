"""The REST operations of Web Services, for one account."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.errors import LoginNotKept, UpstreamRejected
from bridge.webservices.exchange import exchange
from bridge.webservices.replies import Challenge, challenge, verdict
from bridge.webservices.statuscodes import OK, PARTIAL_SUCCESS, refusal

if TYPE_CHECKING:
    from bridge.cometd import Credentials, HttpReply, HttpSession
    from bridge.webservices.replies import UpstreamReply

RENEWALS: Final = {Challenge.LOGIN: 2, Challenge.CSRF: 1}
"""How often a request is repeated after a new login or a new token. Two logins may be necessary, because the first may
reach a server that is shutting down."""
NAMES: Final = {Challenge.LOGIN: "a login", Challenge.CSRF: "a CSRF token"}

log = structlog.get_logger(__name__)


class WebServicesClient:
    """Sends operations with the account's login. `request_timeout` (s) is the deadline of each exchange."""

    def __init__(
        self,
        http: HttpSession,
        login: Credentials,
        *,
        account: str,
        request_timeout: float,
    ) -> None:
        self._http = http
        self._login = login
        self._account = account
        self._request_timeout = request_timeout

    async def forward(self, path: str, body: bytes) -> UpstreamReply:
        """POST an operation, in JSON. Return the reply if it has statusCode 0 (accepted, not yet done).

        `path` begins with /api/v2 and is percent-encoded. If the login or the CSRF token is missing, Web Services
        refuses the request and does nothing. In this case, and in no other, the bridge renews the login or the token
        and repeats the request, at most `RENEWALS` times.

        Raises:
            UpstreamRejected: a statusCode other than 0.
            LoginRefused: Web Services has refused the account's name or password. Until the next allowed attempt this
                is raised without asking Web Services again.
            LoginNotKept: Web Services forgot each new login or token at once. Nothing was done.
            UpstreamUnreachable, UpstreamTimeout, UpstreamInvalidReply: there is no verdict; see these classes.
        """
        answer = verdict(await self._post(path, body))
        if answer.status_code != OK:
            raise _rejected(answer)
        return answer

    async def start_voice_session(self) -> UpstreamReply:
        """Open a contact centre session on the voice channel, which logs the agent in and registers the device.

        StatusCode 7 (some channels failed) counts as accepted, with a warning in the log. Source: the page
        StartContactCenterSession.

        Raises:
            As `forward`.
        """
        body = {"operationName": "StartContactCenterSession", "channels": ["voice"]}
        answer = verdict(await self._post("/api/v2/me", msgspec.json.encode(body)))
        if answer.status_code == PARTIAL_SUCCESS:
            log.warning("voice-session-partial", account=self._account)
        elif answer.status_code != OK:
            raise _rejected(answer)
        return answer

    async def _post(self, path: str, body: bytes) -> HttpReply:
        left = dict(RENEWALS)
        while True:
            headers, sent_at = await self._login.headers(), time.monotonic()
            reply = await exchange(self._http, "POST", path, body=body, headers=headers, timeout=self._request_timeout)
            asked = challenge(reply)
            if asked is Challenge.NONE:
                return reply
            if not left[asked] or not await self._login.challenged(reply, sent_at=sent_at):
                raise LoginNotKept(
                    f"Web Services refused the request because {NAMES[asked]} is missing, although it had just given"
                    f" the account {self._account} a new one (is the balancer sticky?)"
                )
            left[asked] -= 1


def _rejected(answer: UpstreamReply) -> UpstreamRejected:
    return UpstreamRejected(
        refusal(answer.status_code),
        http_status=answer.http_status,
        status_code=answer.status_code,
        status_message=answer.status_message,
    )
