"""How many examples the suite tries: about a minute's worth, the same ones each time, unless asked for more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FACTOR: Final = float(os.environ.get("FUZZ_FACTOR", "1"))
"""Multiplies the number of examples; any other value than 1 also draws new ones at each run."""


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Give a property test its budget: `examples` in a usual run. No deadline, because the machine may be busy."""
    return settings(
        max_examples=max(1, round(examples * FACTOR)),
        deadline=None,
        derandomize=FACTOR == 1,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
