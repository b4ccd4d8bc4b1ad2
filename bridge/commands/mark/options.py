"""The options of `bridge mark`, and the values that are derived from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.commands.mark.fields import FIELDS
from bridge.commands.remote.address import base_url
from bridge.errors import UnusableInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STANDARD_INPUT: Final = "-"
LONGEST_JOB: Final = 100
MOST_CONCURRENCY: Final = 256
"""Maximum number of rows at a time. The bridge accepts at most 512 requests at a time from one caller
(docs/http-api.md)."""
_JOB: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_JOB}}}")


@dataclass(frozen=True)
class MarkOptions:
    """The options of the command. `columns` has texts such as `phone=Telephone`. `defaults` maps fields to values."""

    file: str
    url: str = "http://127.0.0.1:8080"
    job: str | None = None
    results: Path | None = None
    columns: Sequence[str] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    rate: float | None = None
    concurrency: int = 64
    patience: float = 300.0
    """Seconds without a usable answer of the bridge after which the run ends."""
    retry_failed: bool = False
    token_file: Path | None = None

    def base_url(self) -> str:
        """Return the bridge's address without a slash at its end.

        Raises:
            UnusableInput: the address is not an http or https URL.
        """
        return base_url(self.url)

    def columns_by_field(self) -> dict[str, str]:
        """Return a map from each field that `--column` names to its column.

        Raises:
            UnusableInput: a text is not FIELD=NAME, or the field does not exist.
        """
        found = {}
        for text in self.columns:
            name, _, column = text.partition("=")
            if name not in FIELDS or not column:
                raise UnusableInput(f"--column needs FIELD=NAME, where FIELD is one of {', '.join(FIELDS)}")
            found[name] = column
        return found

    def separator(self) -> str | None:
        """Return the character between columns, or None if the command must find it in the list.

        Raises:
            UnusableInput: `--delimiter` is not one character.
        """
        named = {"tab": "\t", "\\t": "\t"}.get(self.delimiter or "", self.delimiter)
        if named is not None and (len(named) != 1 or named in '"\r\n'):
            raise UnusableInput("--delimiter needs one character, or the word tab")
        return named

    def results_path(self) -> Path:
        """Return the path of the results file. The default is FILE.results.csv.

        Raises:
            UnusableInput: the list comes from standard input, and no results file was named.
        """
        if self.results is not None:
            return self.results
        if self.file == STANDARD_INPUT:
            raise UnusableInput(
                "a list from standard input needs --results FILE: the next run continues from that file"
            )
        return Path(f"{self.file}.results.csv")

    def job_name(self) -> str:
        """Return the job's name. The default is the list's file name without its last extension.

        Raises:
            UnusableInput: the name has a character that is not allowed, or is too long.
        """
        named = self.job or Path(self.results_path().name if self.file == STANDARD_INPUT else self.file).stem
        job = named if self.job else re.sub(r"[^A-Za-z0-9._-]", "-", named)[:LONGEST_JOB]
        if _JOB.fullmatch(job) is None:
            raise UnusableInput(f"--job may have letters, digits and . _ -, at most {LONGEST_JOB} of them")
        return job
