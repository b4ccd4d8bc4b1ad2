"""Masks phone numbers that a person sees on a screen."""

from __future__ import annotations

from typing import Final

from bridge.privacy.concealment import Concealment
from bridge.privacy.numbers import digits

MASK: Final = "••••"
SHORTEST: Final = 7
"""Minimum digits of a number whose last two digits stay readable. A shorter number is masked completely."""


class Masking(Concealment):
    """A rule that replaces the digits of phone numbers by dots.

    A hash does not change, because it contains no readable number.
    """

    def __init__(self) -> None:
        super().__init__(None)

    def number(self, number: str) -> str:
        """Return the masked number. People can compare its last two digits with a number that they know."""
        if self.is_hash(number):
            return number
        return f"{MASK}{number[-2:]}" if digits(number) >= SHORTEST and number[-2:].isdecimal() else MASK
