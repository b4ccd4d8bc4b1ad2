"""The expressions of the dashboard: which series they select, and how they sum them up."""

from __future__ import annotations

from typing import Final

HERE: Final = 'account=~"$account", instance=~"$instance"'
"""Selects the series of the chosen accounts in the chosen processes."""
ACCOUNT: Final = 'account=~"$account"'
"""Selects the recorded series of the chosen accounts, which cover all processes."""
PROCESS: Final = 'instance=~"$instance"'
BRIDGE: Final = f"on (job, instance) group_left () bridge_build_info{{{PROCESS}}}"
"""Multiplied with a process_* metric, it keeps only the series of the bridge's processes."""
CONNECTION: Final = f"max by (account) (bridge_cometd_connected{{{HERE}}})"
HOLD: Final = f"max by (account) (bridge_cometd_hold_seconds{{{HERE}}})"


def rate(counter: str, by: str, *, scope: str = HERE) -> str:
    """The expression for a counter's rate by one label."""
    return f"sum by ({by}) (rate({counter}{{{scope}}}[$__rate_interval]))"


def increase(counter: str, by: str, *, scope: str = HERE) -> str:
    """The expression for a counter's increase by one label."""
    return f"sum by ({by}) (increase({counter}{{{scope}}}[$__rate_interval]))"


def most(counter: str, by: str, *, scope: str = HERE) -> str:
    """The expression for a counter's greatest increase at a process. All replicas of a fleet count the same events."""
    return f"max by ({by}) (increase({counter}{{{scope}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", *, scope: str = HERE) -> str:
    """The expression for a histogram's quantile."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{{{scope}}}[$__rate_interval])))"
