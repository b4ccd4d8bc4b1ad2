"""CometD's acknowledgement extension, client side (CometD reference, "Acknowledge Extension")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiocometd.constants import MetaChannel
from aiocometd.extensions import Extension

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from aiocometd.typing import Headers, Payload


UNUSABLE: Final = "acknowledgement-unusable"
LARGEST_NUMBER: Final = (1 << 63) - 1
"""CometD's numbers are Java longs, and the position in Kafka has room for no more."""


class AcknowledgementExtension(Extension):
    """Offers the extension at the handshake, and acknowledges with each poll what has been kept for good.

    Unlike the Java client, which acknowledges on receipt, `acknowledged` moves only by `acknowledge`: the server keeps
    its copy of a reply's events until the poll after that.
    """

    def __init__(self) -> None:
        self.enabled = False
        """Whether the server answered the offer: without it a reply's events exist only here."""
        self.acknowledged: int | None = None
        """The number that the next poll carries back; None while the extension is off."""

    def resume(self, acknowledged: int | None) -> None:
        """Go on with an earlier process's session."""
        self.enabled, self.acknowledged = acknowledged is not None, acknowledged

    def acknowledge(self, number: int | None) -> None:
        """Let the server forget what the reply with this number brought, and everything before."""
        if self.enabled and number is not None:
            self.acknowledged = number

    def number_of(self, reply: dict[str, Any]) -> int | None:
        """Return the batch number that a poll's reply carries, None without the extension.

        Raises:
            ExchangeFailed: `acknowledgement-unusable`, the number is none that can follow the last one. The server
                sends the reply's events again, because the next poll carries the last good number.
        """
        if not self.enabled:
            return None
        number = _extension(reply)
        if (
            not isinstance(number, int)
            or isinstance(number, bool)
            or not (self.acknowledged or 0) <= number <= LARGEST_NUMBER
        ):
            raise ExchangeFailed(UNUSABLE, "the reply's ext.ack is no number after the last one")
        return number

    async def outgoing(self, payload: Payload, headers: Headers) -> None:  # noqa: ARG002 -- aiocometd's signature
        """Put `ext.ack` into handshakes and polls."""
        for message in payload:
            if message["channel"] == MetaChannel.HANDSHAKE:
                message["ext"] = {"ack": True}
            elif message["channel"] == MetaChannel.CONNECT and self.enabled:
                message["ext"] = {"ack": self.acknowledged}

    async def incoming(self, payload: Payload, headers: Headers | None = None) -> None:  # noqa: ARG002
        """Learn from the handshake's reply whether the server takes part: `true`, or a map with `enabled`."""
        for message in payload:
            if message["channel"] == MetaChannel.HANDSHAKE and message["successful"]:
                answer = _extension(message)
                self.enabled = answer is True or (isinstance(answer, dict) and answer.get("enabled") is True)
                self.acknowledged = 0 if self.enabled else None


def _extension(message: dict[str, Any]) -> object:
    extensions = message.get("ext")
    return extensions.get("ack") if isinstance(extensions, dict) else None
