"""Renders the templates. Everything that a template shows is escaped."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from bridge import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

REFRESH: Final = 2
"""Seconds between two refreshes of a page that shows the current state."""
_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_WORDS: Final = {
    "requested": "waiting",
    "accepted": "waiting",
    "acknowledged": "good",
    "rejected": "bad",
    "timed-out": "bad",
}
"""The colour of each status of an operation. Pages always show the status beside the colour."""


class StaticFile(NamedTuple):
    """A file that pages load."""

    content: bytes
    media_type: str
    digest: str
    """Part of the file's URL, so that browsers may cache the file without a limit."""


def static_files() -> Mapping[str, StaticFile]:
    """Read the static files of the package, by name."""
    found = {}
    for file in files("bridge.http.console").joinpath("static").iterdir():
        if (kind := file.name.rpartition(".")[2]) in _TYPES:
            content = file.read_bytes()
            found[file.name] = StaticFile(content, _TYPES[kind], hashlib.sha256(content).hexdigest()[:16])
    return found


@cache
def _environment() -> Environment:
    """Return the templates, which a process compiles once."""
    # Imported here, because jinja2 takes 4 % of each start, and many bridges never show a page.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("bridge.http.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": clock,
        "moment": moment,
        "json": as_json,
        "colour": colour,
        "number": number,
        "duration": duration,
        "age": age,
        "ago": ago,
        "after": after,
        "segment": segment,
    }
    environment.globals |= {
        "version": __version__,
        "digests": {name: file.digest for name, file in static_files().items()},
    }
    return environment


def render(template: str, *, live: bool, interval: int | None, **context: Any) -> str:
    """Render a page, or with `live` only the part of it that changes.

    `interval` is the time between refreshes in seconds.
    """
    layout = "fragment.html" if live else "page.html"
    now = datetime.now(UTC)
    return _environment().get_template(template).render(context | {"layout": layout, "interval": interval, "now": now})


def clock(at: datetime | str | None) -> str:
    """Return the time of day, `12:00:00.012`, of an RFC 3339 time."""
    found = _parsed(at)
    return "" if found is None else found.strftime("%H:%M:%S.") + f"{found.microsecond // 1000:03d}"


def moment(at: datetime | str | None) -> str:
    """Return date and time, `2026-01-01 12:00:00`, of an RFC 3339 time."""
    found = _parsed(at)
    return str(at or "") if found is None else found.strftime("%Y-%m-%d %H:%M:%S")


def as_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def colour(status: str) -> str:
    """Return the colour of an operation's status: good, waiting or bad."""
    return _WORDS.get(status, "waiting")


def number(value: float) -> str:
    """Return a number with separators, and with one decimal place if it is small and not whole."""
    return f"{value:,.1f}" if value < 10 and value != int(value) else f"{value:,.0f}"


def duration(milliseconds: float | None) -> str:
    """Return a duration in a unit that people read: `238 ms`, `4.2 s`, `3 min`."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def ago(at: datetime | str | None) -> str:
    """Return how long ago a time was: `3.2 s ago`."""
    return f"{age(at)} ago" if _parsed(at) is not None else "never"


def age(at: datetime | str | None) -> str:
    """Return how long ago a time was, without "ago": `3.2 s`. Return an empty text if the time is unknown."""
    found = _parsed(at)
    return "" if found is None else duration(max(0.0, time.time() - found.timestamp()) * 1000)


def after(at: datetime | str | None, seconds: float) -> datetime | None:
    """Return the time that is so many seconds later. Return None if one of the two is unknown, or too late to show."""
    found = _parsed(at)
    try:
        return None if found is None else found + timedelta(seconds=seconds)
    except OverflowError:
        return None


def segment(text: str) -> str:
    """Return a text as one segment of a URL's path."""
    return quote(text, safe="")


def _parsed(at: datetime | str | None) -> datetime | None:
    """Return the time in UTC. Return None if the text is not a time, because any program may write to the topics."""
    try:
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
        return None if found is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
