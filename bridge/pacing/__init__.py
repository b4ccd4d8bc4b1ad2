"""Keeps the bridge from overloading other systems and itself.

It makes the waits between attempts longer and longer, limits tasks, and lets tasks wake up together.
"""

from bridge.pacing.backoff import Backoff
from bridge.pacing.gate import Gate
from bridge.pacing.together import wait_together

__all__ = ["Backoff", "Gate", "wait_together"]
