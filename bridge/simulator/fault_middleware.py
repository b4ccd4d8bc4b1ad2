"""An aiohttp middleware that applies faults to HTTP requests."""

import asyncio
import zlib
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from itertools import chain, repeat
from typing import NamedTuple

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.simulator.faults import HTTP_FAULTS, Fault, Faults
from bridge.simulator.status import ACCESS_DENIED, no

CONTROL = "/simulator/"
_META = "/meta/"
_ALTERED: ContextVar[bytes | None] = ContextVar("altered request body", default=None)
_PAGE_503 = (
    "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>\n"
)

_BLANKS = b" " * (16 << 20)
_BOMB_BLOCKS = 100

Message = dict[str, object]


async def body_of(request: web.Request) -> bytes:
    """Return the body of a request. A fault may have changed it."""
    altered = _ALTERED.get()
    return await request.read() if altered is None else altered


def fault_middleware(faults: Faults) -> Middleware:
    """Return a middleware that applies the faults to every request except those for control paths."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL) or not faults.armed:
            return await handler(request)
        messages = _messages(await request.read()) if "/notifications" in request.path else []
        fault = faults.strike(HTTP_FAULTS, _kinds(request, messages))
        if fault is None:
            return await handler(request)
        await asyncio.sleep(fault.delay)
        return await _FORMS[fault.name](Struck(fault, request, handler, messages))

    return strike


def close_without_reply(request: web.Request) -> web.Response:
    """Close the connection without any byte of a reply. The returned response is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _kinds(request: web.Request, messages: Sequence[Message]) -> Collection[str]:
    if messages:
        return {str(message.get("channel", "")).removeprefix(_META) for message in messages}
    login = request.method == "GET" and request.path.endswith("/api/v2/me")
    return {"rest", "login"} if login else {"rest"}


def _messages(body: bytes) -> list[Message]:
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return []
    return [one for one in (decoded if isinstance(decoded, list) else [decoded]) if isinstance(one, dict)]


def _answer(messages: Sequence[Message]) -> web.Response:
    return web.Response(body=msgspec.json.encode(messages), content_type="application/json")


class Struck(NamedTuple):
    """A request that a fault strikes. `messages` are the Bayeux messages in the request's body."""

    fault: Fault
    request: web.Request
    handler: Handler
    messages: Sequence[Message]

    async def answer(self) -> web.StreamResponse:
        """Return the application's response."""
        return await self.handler(self.request)

    async def whole_answer(self) -> tuple[web.Response, bytes]:
        """Return the application's response, and its body."""
        response = await self.answer()
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
            raise TypeError("this fault needs an application that does not stream its responses")
        return response, response.body


async def _html_503(_: Struck) -> web.Response:
    return web.Response(status=503, text=_PAGE_503, content_type="text/html")


async def _reset(struck: Struck) -> web.Response:
    return close_without_reply(struck.request)


async def _slow(struck: Struck) -> web.StreamResponse:
    return await struck.answer()


async def _cut_reply(struck: Struck) -> web.StreamResponse:
    whole, body = await struck.whole_answer()
    cut = web.StreamResponse(status=whole.status, headers=whole.headers)
    cut.content_length = max(len(body), 2)
    await cut.prepare(struck.request)
    await cut.write(body[: len(body) // 2])
    if struck.request.transport is not None:
        struck.request.transport.close()
    return cut


async def _zip_bomb(struck: Struck) -> web.StreamResponse:
    packed = zlib.compressobj(9, wbits=31)
    begin = packed.compress(b"[") + packed.flush(zlib.Z_FULL_FLUSH)
    block = packed.compress(_BLANKS) + packed.flush(zlib.Z_FULL_FLUSH)  # each block can be decompressed alone
    return await _stream(struck.request, [begin, *[block] * _BOMB_BLOCKS], {"Content-Encoding": "gzip"})


async def _endless_body(struck: Struck) -> web.StreamResponse:
    return await _stream(struck.request, chain([b"["], repeat(_BLANKS[: 1 << 20])), {})


async def _stream(request: web.Request, parts: Iterable[bytes], headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
    await response.prepare(request)
    with suppress(ConnectionError):  # the client has closed the connection
        for part in parts:
            await response.write(part)
    return response


async def _broken_json(struck: Struck) -> web.StreamResponse:
    response, body = await struck.whole_answer()
    response.body = body[: len(body) // 2]
    return response


async def _wrong_id(struck: Struck) -> web.StreamResponse:
    response, body = await struck.whole_answer()
    replies, on = _messages(body), struck.fault.on
    for reply in replies:
        channel = str(reply.get("channel", ""))
        if channel == _META + on or (on == "any" and channel.startswith(_META)):
            reply["id"] = f"wrong-{reply.get('id', '')}"
    response.body = msgspec.json.encode(replies)
    return response


async def _unknown_client(struck: Struck) -> web.Response:
    return _answer([_refused(message, "402::Unknown client") for message in struck.messages])


async def _other_node(struck: Struck) -> web.StreamResponse:
    return await struck.answer() if "Authorization" in struck.request.headers else no(ACCESS_DENIED)


async def _refuse_subscription(struck: Struck) -> web.StreamResponse:
    subscriptions = [one for one in struck.messages if one.get("channel") == "/meta/subscribe"]
    refused = [_refused(message, "403::subscribe denied") for message in subscriptions]
    kept = [one for one in struck.messages if one not in subscriptions]
    if not kept:
        return _answer(refused)
    altered = _ALTERED.set(msgspec.json.encode(kept))
    try:
        response, body = await struck.whole_answer()
    finally:
        _ALTERED.reset(altered)
    response.body = msgspec.json.encode([*_messages(body), *refused])
    return response


async def _odd(struck: Struck) -> web.StreamResponse:
    """Replace the application's replies by replies that no CometD server would send."""
    response, body = await struck.whole_answer()
    replies = _messages(body)
    for reply in [one for one in replies if str(one.get("channel", "")).startswith(_META)]:
        reply.update(_ODDITIES[struck.fault.name])
    response.body = msgspec.json.encode([*replies, *_UNSOLICITED.get(struck.fault.name, ())])
    return response


_HOURS = 6 * 3600 * 1000  # ms
_ODDITIES: dict[str, Message] = {
    "advice-none": {"successful": False, "error": "403::odd", "advice": {"reconnect": "none"}},
    "advice-hours": {"advice": {"interval": _HOURS, "timeout": _HOURS, "maxInterval": _HOURS}},
    "odd-client-id": {"clientId": "odd\r\nclient\x00"},
    "odd-acknowledgement": {"ext": {"ack": -1}},
    "odd-subscription": {},
    "unsolicited": {},
}
_UNSOLICITED: dict[str, list[Message]] = {
    "odd-subscription": [
        {"channel": "/meta/subscribe", "successful": False, "subscription": f"/odd/{number}", "error": "403::odd"}
        for number in range(1000)
    ],
    "unsolicited": [
        {"channel": "/meta/disconnect", "successful": True, "advice": {"reconnect": "none"}},
        {"channel": "/meta/handshake", "successful": True, "clientId": "odd"},
    ],
}


def _refused(message: Message, error: str) -> Message:
    """Return a refusal of the message. With error 402, only the reply to a connect contains advice, as on CometD."""
    reply: Message = {"channel": message.get("channel"), "id": message.get("id"), "successful": False, "error": error}
    if error.startswith("402") and message.get("channel") == "/meta/connect":
        reply["advice"] = {"reconnect": "handshake", "interval": 0}
    if error.startswith("403"):
        reply["subscription"] = message.get("subscription")
    return reply


_FORMS = {
    "html-503": _html_503,
    "cut-reply": _cut_reply,
    "reset": _reset,
    "slow": _slow,
    "broken-json": _broken_json,
    "wrong-id": _wrong_id,
    "zip-bomb": _zip_bomb,
    "endless-body": _endless_body,
    "unknown-client": _unknown_client,
    "other-node": _other_node,
    "refuse-subscription": _refuse_subscription,
    **dict.fromkeys(_ODDITIES, _odd),
}
