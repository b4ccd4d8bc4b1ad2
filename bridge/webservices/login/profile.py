"""Reads the account's features and devices from the reply to the login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from bridge.errors import UNDECODABLE

if TYPE_CHECKING:
    from bridge.cometd import HttpReply

OUTBOUND_FEATURE: Final = "api-voice-outbound"
"""The feature that every outbound operation requires (page DoNotCallRecord, Required Features)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Ids of the account's features and devices, empty if the reply has none."""

    features: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def may_do_outbound(self) -> bool:
        """Whether the account has the feature that outbound operations require."""
        return OUTBOUND_FEATURE in self.features


class _Named(msgspec.Struct):
    id: str = ""


class _User(msgspec.Struct):
    features: list[_Named] | None = None
    devices: list[_Named] | None = None


class _Me(msgspec.Struct):
    user: _User = msgspec.field(default_factory=_User)


_DECODER = msgspec.json.Decoder(_Me)


def profile(reply: HttpReply) -> Profile:
    """Parse the reply of GET /api/v2/me. An invalid body gives an empty profile, and no error: the login worked."""
    try:
        user = _DECODER.decode(reply.body).user
    except UNDECODABLE:
        return Profile()
    return Profile(_ids(user.features), _ids(user.devices))


def _ids(named: list[_Named] | None) -> tuple[str, ...]:
    return tuple(one.id for one in named or () if one.id)
