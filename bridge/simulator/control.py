"""HTTP paths under /simulator/ that control the simulator from another process. Most bodies are JSON."""

import msgspec
from aiohttp import web

from bridge.simulator.bayeux import Bayeux
from bridge.simulator.fault_middleware import CONTROL
from bridge.simulator.faults import Faults
from bridge.simulator.login import Logins
from bridge.simulator.rest import Rest


class Event(msgspec.Struct):
    """An event to publish to the sessions of `user` (None: of every user)."""

    channel: str
    data: msgspec.Raw
    user: str | None = None


class Publication(msgspec.Struct):
    """The body of POST /simulator/publish: one event in `channel` and `data`, several in `messages`, or both."""

    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    user: str | None = None
    messages: list[Event] = msgspec.field(default_factory=list)


class Control:
    """The handlers of the control paths."""

    def __init__(self, bayeux: Bayeux, rest: Rest, logins: Logins, faults: Faults) -> None:
        self._bayeux = bayeux
        self._rest = rest
        self._logins = logins
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under /simulator/."""
        return [
            web.post(f"{CONTROL}publish", self._publish),
            web.post(f"{CONTROL}expire-sessions", self._expire_sessions),
            web.post(f"{CONTROL}drop-logins", self._drop_logins),
            web.get(f"{CONTROL}sessions", self._sessions),
            web.get(f"{CONTROL}operations", self._operations),
            web.get(f"{CONTROL}faults", self._show_faults),
            web.post(f"{CONTROL}faults", self._add_faults),
            web.delete(f"{CONTROL}faults", self._clear_faults),
        ]

    async def _publish(self, request: web.Request) -> web.Response:
        try:
            publication = msgspec.json.decode(await request.read(), type=Publication)
        except msgspec.DecodeError as error:
            return _json({"error": str(error)}, status=400)
        events = publication.messages
        if publication.channel is not None:
            events = [Event(publication.channel, publication.data, publication.user), *events]
        if not events:
            return _json({"error": "nothing to publish; send channel and data, or messages"}, status=400)
        for event in events:
            self._bayeux.publish(event.channel, event.data, user=event.user)
        return _json({"published": len(events)})

    async def _expire_sessions(self, _request: web.Request) -> web.Response:
        return _json({"expired": self._bayeux.forget()})

    async def _drop_logins(self, _request: web.Request) -> web.Response:
        return _json({"dropped": self._logins.end_all()})

    async def _sessions(self, _request: web.Request) -> web.Response:
        return _json(
            [
                {
                    "clientId": view.client_id,
                    "user": view.user,
                    "queued": view.queued,
                    "subscriptions": view.subscriptions,
                    "connected": view.connected,
                    "parked": view.parked,
                }
                for view in self._bayeux.views()
            ]
        )

    async def _operations(self, _request: web.Request) -> web.Response:
        return _json(
            [
                {"path": one.path, "body": one.body, "httpStatus": one.http_status, "statusCode": one.status_code}
                for one in self._rest.operations
            ]
        )

    async def _show_faults(self, _request: web.Request) -> web.Response:
        return _json({"armed": self._faults.armed, "struck": self._faults.struck})

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            added = self._faults.from_text(await request.text())
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        return _json({"added": len(added)})

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        cleared = len(self._faults.armed)
        self._faults.clear()
        return _json({"cleared": cleared})


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
