"""The server of the simulator: REST, CometD, faults and control paths on the same port."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from bridge.simulator.bayeux import Bayeux, Message, ProtocolViolationError, ReleasedPollError, SessionView
from bridge.simulator.control import Control
from bridge.simulator.fault_middleware import body_of, fault_middleware
from bridge.simulator.faults import Faults
from bridge.simulator.login import Logins
from bridge.simulator.rest import API, ForwardedOperation, Rest
from bridge.simulator.status import ACCESS_DENIED, no

BROWSER_COOKIE = "BAYEUX_BROWSER"
_LARGEST_REQUEST = 1 << 30  # bytes; a test may publish 100,000 events in one request
_SHUTDOWN = 0.05  # s; a stop does not wait for parked polls
_MESSAGES = msgspec.json.Decoder(list[Message] | Message)


class Simulator:
    """A simulated Web Services server. Times are in seconds.

    `users` maps the names of further accounts to passwords. With `ack_extension=False` the server has no
    acknowledgement extension. After a `stop`, `start` uses the same port again, but all sessions and logins are lost,
    as after a crash.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        username: str = "agent",
        password: str = "secret",  # noqa: S107  the demo's account
        users: Mapping[str, str] | None = None,
        ack_extension: bool = True,
        csrf: bool = True,
        timeout: float = 30.0,
        max_interval: float = 10.0,
        acknowledgement_delay: float = 0.02,
    ) -> None:
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.faults = Faults()
        self._logins = Logins({username: password, **(users or {})}, csrf=csrf)
        self._bayeux = Bayeux(ack_extension=ack_extension, timeout=timeout, max_interval=max_interval)
        self._rest = Rest(
            self._logins,
            self.faults,
            self._bayeux.publish,
            first_user=username,
            acknowledgement_delay=acknowledgement_delay,
        )

    @property
    def url(self) -> str:
        """The base URL without /api/v2. Port 0 becomes the real port after `start`."""
        return f"http://{self._host}:{self._port}"

    @property
    def sessions(self) -> Sequence[SessionView]:
        """The live CometD sessions, oldest first."""
        return self._bayeux.views()

    @property
    def handshakes(self) -> int:
        """The number of successful handshakes since the simulator was created."""
        return self._bayeux.handshakes

    @property
    def operations(self) -> Sequence[ForwardedOperation]:
        """All POST requests to the REST API in order, including refused requests."""
        return tuple(self._rest.operations)

    async def start(self) -> None:
        """Begin to listen. Raises OSError if the port is in use."""
        app = web.Application(middlewares=[fault_middleware(self.faults)], client_max_size=_LARGEST_REQUEST)
        app.add_routes(Control(self._bayeux, self._rest, self._logins, self.faults).routes())
        app.add_routes(
            [web.post(f"{API}/notifications", self._notify), web.post(f"{API}/notifications/{{type:.*}}", self._notify)]
        )
        app.add_routes(self._rest.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, drop every connection, and forget sessions and logins."""
        self._rest.cancel_answers()
        self._bayeux.forget()
        self._logins.end_all()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def publish(self, channel: str, data: object, *, user: str | None = None) -> None:
        """Queue an event for every subscribed session of the user (None: of any user)."""
        self._bayeux.publish(channel, data, user=user)

    def expire_sessions(self) -> int:
        """Drop every CometD session with its queue. Return their number. Parked polls stay open until their timeout."""
        return self._bayeux.forget()

    def drop_logins(self) -> int:
        """End every HTTP session (JSESSIONID). Return their number."""
        return self._logins.end_all()

    def change_password(self, user: str, password: str) -> None:
        """Accept only this password in the user's later logins. HTTP sessions that are open stay open."""
        self._logins.change_password(user, password)

    async def _notify(self, request: web.Request) -> web.Response:
        login = self._logins.of(request)
        if login is None:
            return no(ACCESS_DENIED)
        browser = request.cookies.get(BROWSER_COOKIE, "")
        body = await body_of(request)
        if not body:  # CometD answers an empty request with an empty reply
            return web.Response()
        try:
            decoded = _MESSAGES.decode(body)
            messages = decoded if isinstance(decoded, list) else [decoded]
            answer = await self._bayeux.handle(messages, user=login.user, browser=browser)
        except msgspec.DecodeError:
            return web.Response(status=400)
        except ProtocolViolationError:
            return web.Response(status=500)
        except ReleasedPollError:
            return web.Response(status=408)
        response = web.Response(body=answer.body, content_type="application/json", charset="utf-8")
        if answer.browser:
            response.set_cookie(BROWSER_COOKIE, answer.browser, path="/", httponly=True)
        return self._logins.mark(request, response, login)
