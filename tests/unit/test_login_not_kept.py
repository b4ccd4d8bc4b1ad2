"""A balancer that isn't sticky: every other request reaches a node that doesn't know the login."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import REGISTRY

from bridge.cometd import CometdSession, HttpReply, HttpSession, Options
from bridge.errors import LoginNotKept, UpstreamError
from bridge.simulator import Fault, Simulator
from bridge.webservices import Login, WebServicesClient
from tests.behaviour.cometd_listener import CHANNELS, RememberingSink
from tests.unit.test_webservices_client import PATH
from tests.waiting import eventually

SECONDS: Final = 3.0
MOST_LOGINS: Final = 7
"""In `SECONDS`, at 0, 0, then after 0.125, 0.25, 0.5, 1, 2 s with the least jitter."""


class CountingSession(HttpSession):
    """Counts the requests: logins, polls and others."""

    counts: Counter[str]

    async def request(self, method: str, path: str, **options: object) -> HttpReply:
        headers = options.get("headers")
        basic = isinstance(headers, dict) and "Authorization" in headers
        self.counts["login" if basic else path.rpartition("/")[2]] += 1
        return await super().request(method, path, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def parts(url: str) -> AsyncIterator[tuple[CometdSession, Login, WebServicesClient, Counter[str]]]:
    """A CometD session that runs, and a REST client; both with one login, as in the bridge."""
    async with CountingSession(url, request_timeout=2) as http:
        http.counts = Counter()
        login = Login(http, account="agent", username="agent", password="secret", request_timeout=2, retry_interval=60)
        options = Options(account="agent", path="/api/v2/notifications", channels=CHANNELS, request_timeout=2)
        session = CometdSession(http, login, options, RememberingSink())
        running = asyncio.create_task(session.run())
        try:
            yield session, login, WebServicesClient(http, login, account="agent", request_timeout=2), http.counts
        finally:
            session.stop()
            await running


async def test_a_balancer_that_is_not_sticky_gets_few_requests() -> None:
    """The polls neither storm nor hide it: few logins, few requests, and `login-not-kept` that stays."""
    async with Simulator() as upstream, parts(upstream.url) as (session, login, client, counts):
        await eventually(lambda: session.status.connected)
        upstream.faults.add(Fault("other-node", every=2))
        counts.clear()

        def seen_not_kept() -> bool:
            upstream.publish("/v2/me/outbound", 1)  # ends the poll: without events only heartbeats find the login gone
            return login.not_kept

        await eventually(seen_not_kept, within=40)
        counts.clear()
        flapped, reasons = False, set()
        async with asyncio.timeout(SECONDS + 5):
            end = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < end:  # the rule is about this time
                was = login.not_kept
                upstream.publish("/v2/me/outbound", 1)
                reasons.add(session.status.reason)
                await asyncio.sleep(0.01)
                flapped |= was and not login.not_kept
        assert login.not_kept
        assert REGISTRY.get_sample_value("bridge_login_not_kept", {"account": "agent"}) == 1
        assert not flapped
        assert "login-not-kept" in reasons
        assert counts["login"] <= MOST_LOGINS
        assert counts["notifications"] <= 8 * MOST_LOGINS
        failures: list[UpstreamError] = []
        for _ in range(20):
            try:
                await client.forward(PATH, b"{}")
            except UpstreamError as error:
                failures.append(error)
        assert any(isinstance(error, LoginNotKept) for error in failures)
        assert counts["login"] <= MOST_LOGINS + 2


async def test_a_restarted_server_is_no_such_balancer() -> None:
    """A server that forgets its logins once gets one new login at once, and nothing is told."""
    async with Simulator() as upstream, parts(upstream.url) as (session, login, _, counts):
        await eventually(lambda: session.status.connected)
        counts.clear()
        upstream.drop_logins()
        upstream.publish("/v2/me/outbound", 1)
        await eventually(lambda: counts["login"] == 1)
        await eventually(lambda: session.status.connected)
        assert not login.not_kept
        assert REGISTRY.get_sample_value("bridge_login_not_kept", {"account": "agent"}) == 0
