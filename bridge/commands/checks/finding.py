"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The check did not run, because a check that it depends on has failed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of the table. `text` is a sentence with the result of the check and, for a failure, the remedy.

    `account` is the account that the check is about, or None if it is about the whole bridge.
    """

    subject: str
    outcome: Outcome
    text: str
    account: str | None = None


def ok(subject: str, text: str) -> Finding:
    """Return a finding with the result "`subject` works"."""
    return Finding(subject, Outcome.OK, text)


def warning(subject: str, text: str) -> Finding:
    """Return a finding with the result "`subject` works, but with a limitation"."""
    return Finding(subject, Outcome.WARNING, text)


def failed(subject: str, text: str) -> Finding:
    """Return a finding with the result "`subject` does not work"."""
    return Finding(subject, Outcome.FAILED, text)


def skipped(subjects: list[str], because: str) -> list[Finding]:
    """Return one finding for each of `subjects`: it was not checked, because the check `because` has failed."""
    return [Finding(subject, Outcome.SKIPPED, f"Skipped: {because} failed.") for subject in subjects]
