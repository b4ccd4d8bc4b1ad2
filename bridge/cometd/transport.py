"""A long-polling transport, based on aiocometd's `TransportBase`.

aiocometd 0.4.5 does the handshake, builds every message and calls the extensions. aiocometd's own long-polling
transport does not run on Python >= 3.10, and can lose events. The poll loop is in `bridge.cometd.polling`.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from aiocometd.constants import CONNECT_MESSAGE, DISCONNECT_MESSAGE, SUBSCRIBE_MESSAGE, ConnectionType, MetaChannel
from aiocometd.transports.base import TransportBase

from bridge.cometd.advice import Advice
from bridge.cometd.messages.message import META, decode, is_client_id, meta
from bridge.cometd.messages.stream import MessageStream
from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiocometd.typing import Headers, JsonObject, Payload

    from bridge.cometd.http.incoming import IncomingReply
    from bridge.cometd.messages.batch import Event, Resume
    from bridge.cometd.messages.message import Message
    from bridge.cometd.session_context import SessionContext

BROWSER_COOKIE: Final = "BAYEUX_BROWSER"
MISMATCHED: Final = "mismatched-reply"
"""The reason of a failed poll whose reply does not answer the request."""
UNSOLICITED: Final = {
    MetaChannel.HANDSHAKE.value: "unsolicited-handshake",
    MetaChannel.DISCONNECT.value: "unsolicited-disconnect",
}
PART: Final = 1 << 20
"""Bytes. The sink gets a longer reply in parts of this size while the rest is still being received."""


class MismatchedReply(ExchangeFailed):
    """A reply does not answer the request. `events` contains the reply's events that the server will not send again."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__(MISMATCHED, "the reply's id is not that of the request")
        self.events = events


class Reply(dict[str, Any]):
    """The reply to the first message of a payload, as a dictionary."""

    def __init__(self, fields: dict[str, Any], others: list[dict[str, Any]], events: list[Event]) -> None:
        super().__init__(fields)
        self.others = others
        """The replies to the payload's other messages."""
        self.events = events
        """The events of this HTTP reply that the sink has not received yet."""
        self.acknowledgement: int | None = None
        """The `ext.ack` number of a good reply to a poll. None without the extension."""


class LongPollingTransport(TransportBase):
    """The HTTP exchanges of one CometD session. `on_part` gets the events of a long reply that is still arriving."""

    connection_type = ConnectionType.LONG_POLLING
    on_part: Callable[[list[Event]], Awaitable[None]]

    def __init__(self, context: SessionContext) -> None:
        # aiocometd needs a URL. The path is enough, because the HTTP session adds the host.
        super().__init__(url=context.options.path, incoming_queue=asyncio.Queue(), extensions=[context.acks, context])
        self._context = context
        self.advice = Advice()
        """The newest advice of the server."""

    def resume(self, resume: Resume) -> None:
        """Continue the session of an earlier process. The server may have dropped that session."""
        self._client_id = resume.client_id
        self._context.acks.resume(resume.acknowledgement)
        self._context.http.restore_cookies(resume.cookies)

    async def new_session(self) -> Reply:
        """Do one handshake, without the BAYEUX_BROWSER cookie of the old session.

        A poll of the old session may still be parked. With the same cookie the server would see two sessions of one
        browser. The server would then park no polls until the old poll ends (CometD reference, maxSessionsPerBrowser).

        Raises:
            BridgeError: the exchange or the login failed.
        """
        self._context.http.forget_cookie(BROWSER_COOKIE)
        reply = cast("Reply", await self.handshake([self.connection_type]))
        if reply["successful"] and not is_client_id(self._client_id):
            self._client_id = None
        return reply

    @property
    def poll_timeout(self) -> float:
        """Deadline of a poll in seconds: the time that the server parks it, plus `request_timeout`."""
        return self.advice.timeout + self._context.options.request_timeout

    async def end_session(self) -> None:
        """End the session on the server, which drops the session's queue.

        Raises:
            BridgeError: the exchange failed. The server will drop the session after its maxInterval.
        """
        await self._send_message(DISCONNECT_MESSAGE.copy())

    async def poll(self, *, at_once: bool, subscribe: bool) -> Reply:
        """Do one /meta/connect.

        Args:
            at_once: ask the server to reply at once. Used after a failure, to learn whether the session is alive.
            subscribe: subscribe to all channels in the same request, so that no event is missed in between.

        Raises:
            BridgeError: the exchange failed, or the reply's `ext.ack` is unusable.
        """
        message: JsonObject = CONNECT_MESSAGE.copy()
        if at_once:
            message["advice"] = {"timeout": 0}
        reply = await self._exchange([message, *self._subscribe_messages()] if subscribe else [message])
        if reply["successful"]:
            reply.acknowledgement = self._context.acks.number_of(reply)
        return reply

    async def subscribe_all(self) -> Reply:
        """Subscribe to all channels again. The request keeps the session alive, or shows that the session is lost."""
        return await self._exchange(self._subscribe_messages())

    def _subscribe_messages(self) -> Payload:
        return [{**SUBSCRIBE_MESSAGE, "subscription": channel} for channel in self._context.options.channels]

    async def _exchange(self, payload: Payload) -> Reply:
        return cast("Reply", await self._send_payload(payload))

    async def _send_final_payload(self, payload: Payload, *, headers: Headers) -> JsonObject:
        """Send one payload and return the `Reply` to its first message.

        Raises:
            ExchangeFailed: the network failed, the HTTP status is an error, or the body does not answer this payload.
            UpstreamError: the login was refused, or failed.
        """
        context = self._context
        timeout = context.options.request_timeout
        if payload[0]["channel"] == MetaChannel.CONNECT:
            timeout = self.poll_timeout
        elif payload[0]["channel"] == MetaChannel.SUBSCRIBE:  # a hanging heartbeat must leave time for another one
            timeout = min(timeout, context.max_interval / 3)
        body = msgspec.json.encode(payload)
        post = partial(context.http.exchange, "POST", context.options.path, body=body, timeout=timeout)
        sent_at = time.monotonic()
        with await post(headers=headers) as reply:
            if reply.status not in {401, 403}:
                return await self._understand(payload, reply)
            refused = await reply.whole()
        if not await context.credentials.challenged(refused, sent_at=sent_at):
            raise _http_error(refused.status)
        with await post(headers={**headers, **await context.credentials.headers()}) as reply:
            return await self._understand(payload, reply)

    async def _understand(self, payload: Payload, reply: IncomingReply) -> Reply:
        if reply.status != 200:
            await reply.whole()
            raise _http_error(reply.status)
        replies = _Replies(payload, self._context.reporter.odd)
        if payload[0]["channel"] == MetaChannel.CONNECT:
            messages = await self._last_messages(reply, replies)
        else:
            messages = decode((await reply.whole()).body)
        events = replies.without(messages)
        if replies.own is None:
            # This may be a late reply to an earlier poll. With the extension the server sends its events again.
            raise MismatchedReply([] if self._context.acks.enabled else events)
        for answer in (replies.own, *replies.others):
            self._take_advice(Advice.of(answer))
        await self._context.acks.incoming([replies.own])
        return Reply(replies.own, replies.others, events)

    def _take_advice(self, advice: Advice | None) -> None:
        if advice is not None:
            self.advice = advice
            self._context.max_interval = advice.max_interval or self._context.options.max_interval
            if advice.out_of_bounds:
                self._context.reporter.odd("advice-out-of-bounds")

    async def _last_messages(self, reply: IncomingReply, replies: _Replies) -> list[Message]:
        """Read the reply to a poll in parts. Pass the events of all parts except the last to the sink.

        Return the messages of the last part. The first part must arrive within the poll's deadline. Each later part
        must arrive within `request_timeout`, without the time that the sink takes.
        """
        size = min(PART, reply.limit)
        part = await reply.part(size)
        if len(part) < size:
            return decode(part)
        stream = MessageStream(reply.limit)
        while len(part) == size:
            for messages in stream.feed(part):
                await self._pass_on(replies.without(messages))
            part = await reply.part(size, timeout=self._context.options.request_timeout)
        last: list[Message] = []
        try:
            for messages in stream.feed(part):
                last += messages
            return last + stream.end()
        except ExchangeFailed:
            await self._pass_on(replies.without(last))  # the server may not send these again
            raise

    async def _pass_on(self, events: list[Event]) -> None:
        if events:
            await self.on_part(events)


class _Replies:
    """Finds the replies to a payload's messages among the messages of an HTTP reply."""

    def __init__(self, payload: Payload, odd: Callable[[str], None]) -> None:
        self._odd = odd
        self._channel = payload[0]["channel"]
        self._asked = [(message["channel"], message["id"]) for message in payload]
        self.own: dict[str, Any] | None = None
        """The reply to the payload's first message."""
        self.others: list[dict[str, Any]] = []
        """The replies to the payload's other messages."""

    def without(self, messages: list[Message]) -> list[Event]:
        """Return the events without the replies. The replies are stored in `own` and `others`."""
        events: list[Event] = []
        for message in messages:
            if message.channel.startswith(META):
                self._take(meta(message))
            else:
                events.append(message)
        return events

    def _take(self, reply: dict[str, Any]) -> None:
        key = (reply["channel"], reply.get("id"))
        if key not in self._asked:  # not even /meta/disconnect counts: the next poll shows whether the session is over
            self._odd(UNSOLICITED.get(reply["channel"], "unsolicited-reply"))
            return
        self._asked.remove(key)
        if reply["channel"] == self._channel and self.own is None:
            self.own = reply
        else:
            self.others.append(reply)


def _http_error(status: int) -> ExchangeFailed:
    return ExchangeFailed(f"http-{status}", "the CometD endpoint answers with an error")
