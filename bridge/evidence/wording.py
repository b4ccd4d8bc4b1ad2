"""Writes a number with its noun, in the singular or plural, for the sentences that people read."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as `1 record` or `1,000 records`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
