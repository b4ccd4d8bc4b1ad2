"""Keeps the bridge from overloading other systems and itself.

It makes the waits between attempts longer and longer, limits tasks, shares calls, and lets tasks wake up together.
"""

from bridge.pacing.backoff import Backoff
from bridge.pacing.gate import Gate
from bridge.pacing.shared_call import SharedCall
from bridge.pacing.together import wait_together

__all__ = ["Backoff", "Gate", "SharedCall", "wait_together"]
