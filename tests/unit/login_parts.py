"""A login against a Web Services whose answers the test writes."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from prometheus_client import REGISTRY

from bridge.cometd import HttpReply, HttpSession
from bridge.webservices import Login
from tests.unit.scripted_upstream import Scripted, ScriptedUpstream

PASSWORD = "pässword:with colon"
TOKEN = Scripted(headers={"X-CSRF-HEADER": "X-Site-Token", "X-CSRF-TOKEN": "t1"})


def refused(one: Scripted) -> HttpReply:
    return HttpReply(one.status, {}, str(one.body).encode())


def refused_metric() -> float | None:
    return REGISTRY.get_sample_value("bridge_login_refused", {"account": "sales"})


@contextlib.asynccontextmanager
async def login_to(
    *gets: Scripted, retry_interval: float = 60, request_timeout: float = 5, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[tuple[Login, ScriptedUpstream]]:
    async with ScriptedUpstream(gets=gets) as upstream, HttpSession(upstream.url, request_timeout=5) as http:
        login = Login(
            http,
            account="sales",
            username="agent",
            password=PASSWORD,
            request_timeout=request_timeout,
            retry_interval=retry_interval,
            clock=clock,
        )
        yield login, upstream
