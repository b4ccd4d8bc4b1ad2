"""The client side of CometD's acknowledgement extension (CometD reference, "Acknowledge Extension")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiocometd.constants import MetaChannel
from aiocometd.extensions import Extension

from bridge.errors import ExchangeFailed

if TYPE_CHECKING:
    from aiocometd.typing import Headers, Payload


UNUSABLE: Final = "acknowledgement-unusable"
LARGEST_NUMBER: Final = (1 << 63) - 1
"""The largest number of a reply. CometD's numbers are Java longs, and the position in Kafka stores 64 bits."""


class AcknowledgementExtension(Extension):
    """Offers the extension in the handshake, and puts the last acknowledged number into each poll.

    CometD's Java client acknowledges on receipt. This client acknowledges only after a call of `acknowledge`: until
    then the server keeps its copy of a reply's events.
    """

    def __init__(self) -> None:
        self.enabled = False
        """Whether the server accepted the offer. If not, the server drops its copy of events when it sends them."""
        self.acknowledged: int | None = None
        """The number that the next poll sends; None while the extension is off."""

    def resume(self, acknowledged: int | None) -> None:
        """Continue the session of an earlier process, which had acknowledged this number."""
        self.enabled, self.acknowledged = acknowledged is not None, acknowledged

    def acknowledge(self, number: int | None) -> None:
        """Let the next poll acknowledge the reply with this number, and all earlier replies."""
        if self.enabled and number is not None:
            self.acknowledged = number

    def number_of(self, reply: dict[str, Any]) -> int | None:
        """Return the `ext.ack` number of a poll's reply, None without the extension.

        Raises:
            ExchangeFailed: `acknowledgement-unusable`, the number is missing, invalid or smaller than the last number.
                The server will send the reply's events again, because the next poll sends the last good number.
        """
        if not self.enabled:
            return None
        number = _extension(reply)
        if (
            not isinstance(number, int)
            or isinstance(number, bool)
            or not (self.acknowledged or 0) <= number <= LARGEST_NUMBER
        ):
            raise ExchangeFailed(UNUSABLE, "the reply's ext.ack is missing, invalid or smaller than the last one")
        return number

    async def outgoing(self, payload: Payload, headers: Headers) -> None:  # noqa: ARG002 -- aiocometd's signature
        """Add `ext.ack` to handshakes and polls."""
        for message in payload:
            if message["channel"] == MetaChannel.HANDSHAKE:
                message["ext"] = {"ack": True}
            elif message["channel"] == MetaChannel.CONNECT and self.enabled:
                message["ext"] = {"ack": self.acknowledged}

    async def incoming(self, payload: Payload, headers: Headers | None = None) -> None:  # noqa: ARG002
        """Read from the handshake's reply whether the server accepts the extension.

        If so, `ext.ack` is `true`, or a map with `enabled`.
        """
        for message in payload:
            if message["channel"] == MetaChannel.HANDSHAKE and message["successful"]:
                answer = _extension(message)
                self.enabled = answer is True or (isinstance(answer, dict) and answer.get("enabled") is True)
                self.acknowledged = 0 if self.enabled else None


def _extension(message: dict[str, Any]) -> object:
    extensions = message.get("ext")
    return extensions.get("ack") if isinstance(extensions, dict) else None
