"""The `owner` in a position: the bridge that wrote the position, and the transactional ids that the bridge uses.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Final

_FORM: Final = re.compile(r"slot-(\d{1,4})-([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a slot's positions. `str()` returns the text for the field `owner`."""

    bridge: str
    """A random name, which is new for each start of the slot."""
    pair: int = 0
    """The number of the pair of transactional ids. The pair is 0, unless another bridge with other accounts of the slot
    uses pair 0."""

    def __str__(self) -> str:
        return f"slot-{self.pair}-{self.bridge}"

    def with_pair(self, pair: int) -> Owner:
        """Return an owner with the same bridge and another pair of transactional ids."""
        return replace(self, pair=pair)

    def wrote(self, owner: str) -> bool:
        """Return whether the text `owner` names the same bridge. The pair of transactional ids may differ."""
        other = owner_of(owner)
        return other is not None and other.bridge == self.bridge

    def collides(self, owner: str) -> bool:
        """Return whether the text `owner` names another bridge with the same pair of transactional ids."""
        other = owner_of(owner)
        return other is not None and other.bridge != self.bridge and other.pair == self.pair


def new_owner() -> Owner:
    """Return an owner with a new random name."""
    return Owner(secrets.token_hex(8))


def owner_of(owner: str) -> Owner | None:
    """Parse the text `owner` of a position. Return None if a version without slots wrote the position."""
    form = _FORM.fullmatch(owner)
    return None if form is None else Owner(form[2], int(form[1]))
