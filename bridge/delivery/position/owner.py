"""How a bridge signs the positions of a slot: which bridge it is, and which transactional ids it publishes with."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Final

_FORM: Final = re.compile(r"slot-(\d{1,4})-([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Owner:
    """One slot of one process. `str()` is the `owner` of its positions."""

    bridge: str
    """Drawn at random at each start."""
    pair: int = 0
    """Which pair of the slot's transactional ids: 0, unless another bridge with other accounts uses that one."""

    def __str__(self) -> str:
        return f"slot-{self.pair}-{self.bridge}"

    def with_pair(self, pair: int) -> Owner:
        """Return the same bridge, with another pair of ids."""
        return replace(self, pair=pair)

    def wrote(self, owner: str) -> bool:
        """Whether the bridge signed a position with this `owner`, under any pair of ids."""
        other = owner_of(owner)
        return other is not None and other.bridge == self.bridge

    def collides(self, owner: str) -> bool:
        """Whether the `owner` of a position is another bridge that publishes with the same pair of ids."""
        other = owner_of(owner)
        return other is not None and other.bridge != self.bridge and other.pair == self.pair


def new_owner() -> Owner:
    """Draw the name of a slot of this process."""
    return Owner(secrets.token_hex(8))


def owner_of(owner: str) -> Owner | None:
    """Return what a position's `owner` says; None where a version without slots wrote the position."""
    form = _FORM.fullmatch(owner)
    return None if form is None else Owner(form[2], int(form[1]))
