"""Writes the log to standard error, as JSON or as text for a console. Each event is one line without private data.

Three rules hold for every line, from the bridge and from libraries:

- A field with a name that marks it as private (password, cookie, phone number...) is logged as `***`.
- An exception is logged by its classes and the places in the code. The text of an exception is logged only if its
  class is the bridge's own, because libraries quote their input in such texts.
- An unprintable character, such as the start of a terminal's control sequence, is logged as its escape.

Lines of libraries are logged from level warning. Only the template of such a line is logged, not its arguments. The
same line is logged once in `REPEAT_INTERVAL`, because callers can cause some lines thousands of times a second.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog

from bridge.errors import BridgeError
from bridge.observability.printable import printable

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
MASK = "***"
_PRIVATE = re.compile(
    r"passw|secret|cookie|token|authori[sz]ation|credential|csrf|phone|client_?id|status_?message",
    re.IGNORECASE,
)
_FRAMES = 8
REPEAT_INTERVAL = 10.0
"""Seconds in which the same line of a library is logged once. The field `left_out` of the next line counts the omitted
repetitions."""
_MOST_KINDS = 1000
# Openings of lines that libraries format before logging. The rest of such a line may contain private data.
_OPENINGS = (
    "Task exception was never retrieved",
    "Task was destroyed but it is pending",
    "Future exception was never retrieved",
    "Unclosed client session",
    "Unclosed connection",
    "Exception in callback",
    "Exception in ASGI application",
    "Fatal error on transport",
    "Fatal read error on socket transport",
    "Fatal write error on socket transport",
    "Executing",
)
_FOREIGN_TEXT = "line of a library, its text left out"


class Masked(dict[str, Any]):
    """A mapping for the log in which the caller has masked all secrets.

    The log shows all values of a `Masked`, even if a name marks its value as private.
    """


def configure(
    format: Literal["json", "console"],  # noqa: A002 -- the setting's name
    level: Level,
    stream: TextIO | None = None,
) -> None:
    """Send every line, the bridge's own and the libraries', to `stream` (default: standard error)."""
    own_level = logging.getLevelNamesMapping()[level.upper()]
    output = sys.stderr if stream is None else stream
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=output.isatty())
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        describe_exception,
        redact,
        timestamp,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(own_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.addFilter(_Wanted())
    handler.setFormatter(
        _Formatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=("arguments", "left_out")), *shared],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(own_level, logging.WARNING), force=True)
    logging.getLogger("bridge").setLevel(own_level)
    # During an outage aiokafka logs each attempt. The bridge logs the outage once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def timestamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the time: RFC 3339, UTC, milliseconds."""
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask each field whose name marks it as private, at any depth."""
    return {
        # structlog's own entries start with an underscore
        name: value if name.startswith("_") else MASK if _PRIVATE.search(name) else _plain(value)
        for name, value in event.items()
    }


def describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the field `exc_info` by `error` (see `_words`) and `at` (the innermost places in the code)."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["error"] = _words(error)
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["at"] = [
            f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames
        ]
    return event


def _words(error: BaseException) -> str:
    """Describe an exception and its causes: each by its class, or by code and text if it is a `BridgeError`."""
    words: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, BaseExceptionGroup):
            words.append(f"{type(one).__name__}({', '.join(_words(inner) for inner in one.exceptions)})")
        else:
            words.append(f"{one.code}: {one}" if isinstance(one, BridgeError) else type(one).__name__)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return " < ".join(words)


def _plain(value: Any) -> Any:
    """Return a value in a form that may be logged.

    Numbers are not changed, texts become printable, and an object of another class is replaced by the class's name.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Masked):
        return {printable(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, Mapping):
        return {
            printable(str(name)): MASK if _PRIVATE.search(str(name)) else _plain(inner) for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, BaseException):
        return printable(_words(value))
    return printable(str(value)) if isinstance(value, str | Path | datetime) else f"<{type(value).__name__}>"


def _is_own(record: logging.LogRecord) -> bool:
    return hasattr(record, "_logger")  # structlog's mark


class _Wanted(logging.Filter):
    """Drops repeated lines of libraries, and their lines below the level warning.

    A library can't change this by a lower level of its logger.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[object, ...], tuple[float, int]] = {}
        """For each line: the monotonic time at which it was last logged, and the number of repetitions since then."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        if _is_own(record):
            return True
        if record.levelno < logging.WARNING:
            return False
        now = time.monotonic()
        raised = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
        line = (record.name, record.levelno, without_text(record).msg, raised)
        before, left_out = self._shown.get(line, (float("-inf"), 0))
        shows = now - before >= REPEAT_INTERVAL
        if len(self._shown) >= _MOST_KINDS:
            self._shown.clear()
        self._shown[line] = (now, 0) if shows else (before, left_out + 1)
        if shows and left_out:
            record.left_out = left_out
        return shows


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Removes the arguments from libraries' records before they are rendered."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record if _is_own(record) else without_text(record))


def without_text(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy of a library's record without private data.

    The text of the copy is the template of the library's message. The arguments are masked, except small integers and
    exceptions (see `_words`). If a record has no arguments, its text may contain private values. So the copy keeps only
    a known opening of this text.
    """
    bare = copy.copy(record)
    arguments = list(record.args.values()) if isinstance(record.args, Mapping) else list(record.args or ())
    if arguments and isinstance(record.msg, str):
        bare.msg = record.msg
        bare.arguments = [_argument(argument) for argument in arguments]
    else:
        text = str(record.msg)
        bare.msg = next((opening for opening in _OPENINGS if text.startswith(opening)), _FOREIGN_TEXT)
    bare.args = ()
    bare.exc_text = None
    bare.stack_info = None
    return bare


def _argument(value: object) -> object:
    if isinstance(value, BaseException):
        return _words(value)
    return value if isinstance(value, int) and abs(value) < 100_000 else MASK
