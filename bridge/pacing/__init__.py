"""Keeps the bridge from overloading other systems: longer and longer waits between attempts, and a limit for tasks."""

from bridge.pacing.backoff import Backoff
from bridge.pacing.gate import Gate

__all__ = ["Backoff", "Gate"]
