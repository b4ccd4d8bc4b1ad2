"""A page whose text is written by hand, and whose figures stand between two marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

END = "<!-- measured: end -->"


def begin(command: str) -> str:
    """Return the first mark of what a command writes."""
    return f"<!-- measured: written by `{command}` -->"


def write_between_marks(page: Path, command: str, text: str) -> None:
    """Replace what stands between the page's marks.

    Raises:
        ValueError: the page has no marks.
    """
    before, mark, rest = page.read_text(encoding="utf-8").partition(begin(command))
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page} lacks its marks")
    page.write_text(f"{before}{mark}\n\n{text}\n\n{end}{after}", encoding="utf-8")
