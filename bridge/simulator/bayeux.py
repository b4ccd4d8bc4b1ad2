"""The Bayeux protocol of the simulator over long polling, which was compared with a CometD 3.1.5 server.

Unlike CometD, which sends its advice only after a change, the simulator sends the advice in every connect reply, as in
the Web Services documentation.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import msgspec

from bridge.simulator.session import Outcome, Session

Reply = dict[str, object]
UNKNOWN_CLIENT = "402::Unknown client"
MULTI_SESSION_INTERVAL = 2000  # ms, CometD's multiSessionInterval

_ENCODER = msgspec.json.Encoder()


class Message(msgspec.Struct):
    """A message of a client. All fields are optional, so a missing field causes a Bayeux error, not a parse error."""

    channel: str = ""
    id: str | int | None = None
    clientId: str | None = None  # noqa: N815  the protocol's own spelling
    ext: dict[str, object] | None = None
    advice: dict[str, object] | None = None
    subscription: str | list[str] | None = None
    data: object = None


class ProtocolViolationError(Exception):
    """The request violates the protocol. CometD answers with HTTP 500."""


class ReleasedPollError(Exception):
    """A newer /meta/connect of the same session has replaced this one. The answer is HTTP 408 without a body."""


@dataclass(frozen=True)
class SessionView:
    """The public state of a session. `connected` is true after the first /meta/connect, `parked` while a poll waits."""

    client_id: str
    user: str
    queued: int
    subscriptions: tuple[str, ...]
    connected: bool
    parked: bool


@dataclass(frozen=True)
class Answer:
    """The body of a reply, and the value of the BAYEUX_BROWSER cookie to set (empty: set no cookie)."""

    body: bytes
    browser: str = ""


class Bayeux:
    """The sessions of the server, and the handlers of the five meta channels. Times are in seconds."""

    def __init__(self, *, ack_extension: bool, timeout: float, max_interval: float) -> None:
        self._ack_extension = ack_extension
        self._timeout = timeout
        self._max_interval = max_interval
        self._sessions: dict[str, Session] = {}
        self.handshakes = 0
        self._advice: Reply = {"interval": 0, "timeout": round(timeout * 1000), "reconnect": "retry"}

    def views(self) -> tuple[SessionView, ...]:
        """Return every live session, oldest first."""
        self._sweep()
        return tuple(
            SessionView(one.client_id, one.user, one.queued, one.subscriptions, one.connected, one.parked)
            for one in self._sessions.values()
        )

    def publish(self, channel: str, data: object, *, user: str | None = None) -> None:
        """Queue an event for each subscribed session of the user (None: of any user)."""
        self._sweep()
        event = _ENCODER.encode({"data": data, "channel": channel})
        for session in self._sessions.values():
            if (user is None or session.user == user) and session.receives(channel):
                session.offer(event)

    def forget(self) -> int:
        """Drop every session with its queue. A parked poll stays open until its timeout, as on CometD."""
        forgotten = len(self._sessions)
        self._sessions.clear()
        return forgotten

    async def handle(self, messages: Sequence[Message], *, user: str, browser: str) -> Answer:
        """Answer the messages of a request.

        Raises:
            ProtocolViolationError: the request has no message, a handshake together with other messages, or a message
                with a missing or malformed channel.
            ReleasedPollError: a newer poll has replaced the poll in this request.
        """
        self._sweep()
        if not all(message.channel for message in messages) or not messages:
            raise ProtocolViolationError
        if any(message.channel == "/meta/handshake" for message in messages):
            if len(messages) > 1:
                raise ProtocolViolationError
            return self._handshake(messages[0], user=user, browser=browser)
        session = self._find(messages[0].clientId, browser)
        replies: list[Reply] = []
        deliver = False
        for message in messages:
            if session is None:
                replies.append(_unknown_client(message))
            elif message.channel == "/meta/connect":
                replies.append(await self._connect(session, message, may_park=len(messages) == 1))
                deliver = True
            else:
                session.extend_expiry(self._max_interval)
                replies.append(self._other(session, message))
                deliver = deliver or not session.acknowledged
        events = session.take() if session is not None and deliver else []
        events.extend(map(_ENCODER.encode, replies))
        return Answer(b"[" + b",".join(events) + b"]")

    def _find(self, client_id: str | None, browser: str) -> Session | None:
        """Return the session with this clientId, if the request also has the BAYEUX_BROWSER cookie of the session."""
        session = self._sessions.get(client_id or "")
        return session if session is not None and session.browser == browser else None

    def _sweep(self) -> None:
        now = monotonic()
        expired = [one for one in self._sessions.values() if one.expires_at is not None and one.expires_at < now]
        for session in expired:
            del self._sessions[session.client_id]

    def _handshake(self, message: Message, *, user: str, browser: str) -> Answer:
        self.handshakes += 1
        new_browser = "" if browser else secrets.token_hex(8)
        acknowledged = self._ack_extension and (message.ext or {}).get("ack") is True
        session = Session(secrets.token_hex(14), user=user, browser=browser or new_browser, acknowledged=acknowledged)
        session.expire_after(self._max_interval)
        self._sessions[session.client_id] = session
        reply = _reply(message, successful=True) | {
            "minimumVersion": "1.0",
            "clientId": session.client_id,
            "supportedConnectionTypes": ["long-polling"],
            "advice": self._advice,
            "version": "1.0",
        }
        if acknowledged:
            reply["ext"] = {"ack": True}
        return Answer(_ENCODER.encode([reply]), new_browser)

    async def _connect(self, session: Session, message: Message, *, may_park: bool) -> Reply:
        session.release_poll()
        was_connected, session.connected = session.connected, True
        session.expires_at = None
        batch = (message.ext or {}).get("ack") if session.acknowledged else None
        if isinstance(batch, int):
            session.acknowledge(batch)
        wanted = (message.advice or {}).get("timeout")
        timeout = wanted / 1000 if isinstance(wanted, int | float) else self._timeout
        # A timeout in the client's advice wins over the ack extension's timeout of 0, as in CometD's updateAdvice.
        acknowledging = isinstance(batch, int) and wanted is None
        advice = self._advice
        if may_park and was_connected and not session.must_reply(acknowledging=acknowledging):
            if self._browser_is_polling(session.browser):
                advice = {"multiple-clients": True, "reconnect": "retry", "interval": MULTI_SESSION_INTERVAL}
            elif timeout > 0:
                advice = await self._park(session, timeout)
        session.expire_after(self._max_interval)
        reply = _reply(message, successful=True) | {"advice": advice}
        if session.acknowledged:
            reply["ext"] = {"ack": session.close_batch()}
        return reply

    async def _park(self, session: Session, seconds: float) -> Reply:
        outcome = await session.park(seconds)
        if outcome is Outcome.RELEASED:
            raise ReleasedPollError
        return {"reconnect": "none"} if outcome is Outcome.DISCONNECTED else self._advice

    def _browser_is_polling(self, browser: str) -> bool:
        """Return whether a poll with this browser cookie is parked. CometD parks one poll per cookie."""
        return any(one.parked for one in self._sessions.values() if one.browser == browser)

    def _other(self, session: Session, message: Message) -> Reply:
        match message.channel:
            case "/meta/subscribe" | "/meta/unsubscribe":
                reply = self._subscription(session, message)
            case "/meta/disconnect":
                del self._sessions[session.client_id]
                session.end_poll(Outcome.DISCONNECTED)
                reply = _reply(message, successful=True)
            case channel if channel.startswith("/") and not channel.startswith("/meta/"):
                self.publish(channel, message.data, user=session.user)
                return _reply(message, successful=True)
            case _:
                reply = _reply(message, successful=False) | {"error": "403:denied_by_security_policy:create denied"}
        if session.acknowledged:
            reply["ext"] = {}
        return reply

    def _subscription(self, session: Session, message: Message) -> Reply:
        if not message.subscription:
            return _reply(message, successful=False) | {"error": "403::subscription_missing"}
        channels = [message.subscription] if isinstance(message.subscription, str) else message.subscription
        if not all(channel.startswith("/") for channel in channels):
            raise ProtocolViolationError
        change = session.subscribe if message.channel == "/meta/subscribe" else session.unsubscribe
        for channel in channels:
            change(channel)
        return _reply(message, successful=True) | {"subscription": message.subscription}


def _reply(message: Message, *, successful: bool) -> Reply:
    reply: Reply = {"channel": message.channel, "successful": successful}
    if message.id is not None:
        reply["id"] = message.id
    return reply


def _unknown_client(message: Message) -> Reply:
    """Refuse a message of an unknown client. Only the reply to a connect contains advice (measured)."""
    reply = _reply(message, successful=False) | {"error": UNKNOWN_CLIENT}
    if message.channel == "/meta/connect":
        reply["advice"] = {"reconnect": "handshake", "interval": 0}
    return reply
