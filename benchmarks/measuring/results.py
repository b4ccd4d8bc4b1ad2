"""From rounds to figures: what was measured of whom, its median and its spread."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Quantity:
    """Something that is measured, such as "mixed traffic, events/s". `digits` are those after the decimal point."""

    name: str
    digits: int

    def text(self, value: float) -> str:
        """A value, for people."""
        return f"{value:,.{self.digits}f}"


@dataclass(frozen=True)
class Measure:
    """The values of one quantity and one candidate, one value for each round."""

    quantity: Quantity
    candidate: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest round."""
        return min(self.values), max(self.values)


@dataclass
class Results:
    """All values so far, in the order in which their quantities were first noted."""

    _values: dict[tuple[Quantity, str], list[float]] = field(default_factory=dict)

    def note(self, quantity: Quantity, candidate: str, value: float) -> None:
        """Add the value of one round."""
        self._values.setdefault((quantity, candidate), []).append(value)

    def note_all(self, figures: Mapping[Quantity, float], candidate: str) -> None:
        """Add the values of one round of one candidate."""
        for quantity, value in figures.items():
            self.note(quantity, candidate, value)

    def of(self, quantity: Quantity, candidate: str) -> Measure | None:
        """What was measured, or None where that candidate has no value."""
        values = self._values.get((quantity, candidate))
        return Measure(quantity, candidate, values) if values else None

    def measures(self) -> list[Measure]:
        """Everything, each quantity's candidates together."""
        quantities = list(dict.fromkeys(quantity for quantity, _ in self._values))
        return [
            Measure(quantity, candidate, values)
            for one in quantities
            for (quantity, candidate), values in self._values.items()
            if quantity == one
        ]


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values, in ascending order, do not exceed (nearest rank)."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]
