"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something that it needs has failed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. `text` is one sentence. It says what was seen and, for a failure, what to do."""

    subject: str
    outcome: Outcome
    text: str


def ok(subject: str, text: str) -> Finding:
    """It works."""
    return Finding(subject, Outcome.OK, text)


def warning(subject: str, text: str) -> Finding:
    """It works, but a person should know something."""
    return Finding(subject, Outcome.WARNING, text)


def failed(subject: str, text: str) -> Finding:
    """The bridge can't work like this."""
    return Finding(subject, Outcome.FAILED, text)


def skipped(subjects: list[str], because: str) -> list[Finding]:
    """They were not looked at."""
    return [Finding(subject, Outcome.SKIPPED, f"Skipped: {because} failed.") for subject in subjects]
