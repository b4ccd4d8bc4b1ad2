"""Keeps the bridge from overloading other systems: growing waits between attempts, a limit for tasks, shared calls."""

from bridge.pacing.backoff import Backoff
from bridge.pacing.gate import Gate
from bridge.pacing.shared_call import SharedCall

__all__ = ["Backoff", "Gate", "SharedCall"]
