from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import structlog

from bridge.errors import ExchangeFailed
from bridge.observability import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PHONE = "+447700900123"
Level = logs.Level


class Log:
    def __init__(self) -> None:
        self.stream = io.StringIO()

    def configure(self, level: Level = "info") -> None:
        logs.configure("json", level, self.stream)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    root, bridge = logging.getLogger(), logging.getLogger("bridge")
    handlers, levels = root.handlers[:], (root.level, bridge.level)
    root.handlers = []
    log = Log()
    log.configure()
    yield log
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(levels[0])
    bridge.setLevel(levels[1])


def own() -> Any:
    return structlog.get_logger("bridge.relay")


def test_line(log: Log) -> None:
    """A line is one JSON object: event, fields, level, logger and the time in RFC 3339, UTC, milliseconds."""
    own().info("session opened", account="sales", ack_extension=True)
    (line,) = log.lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "event": "session opened",
        "account": "sales",
        "ack_extension": True,
        "level": "info",
        "logger": "bridge.relay",
    }


def test_console(log: Log) -> None:
    """The console form shows the event with its fields, and masks as the JSON form does."""
    logs.configure("console", "info", log.stream)
    own().info("session opened", account="sales", cookies={"BAYEUX_BROWSER": "b1"})
    assert "session opened" in log.text
    assert "account=sales" in log.text
    assert "cookies=***" in log.text


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize(
    "hostile", ["\x1b]0;x\x07", "\x9b2J", "a\rb", "a\nb", "\u202egnp", "\ud800", "\u2028", "\x7f", "\0"]
)
def test_nothing_steers_the_terminal(log: Log, format_: Literal["json", "console"], hostile: str) -> None:
    """A control character, a bidi control or a lone surrogate shows as its escape, wherever in a line it stands."""
    logs.configure(format_, "info", log.stream)
    error = ExchangeFailed("status", hostile)
    own().warning(f"x{hostile}", one=hostile, many=[{hostile: hostile}], path=Path(f"/a{hostile}"), error=error)
    assert log.text.count("\n") == 1
    assert log.text.rstrip("\n").isprintable()


def test_library_that_repeats_itself_is_told_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same line of a library shows once in REPEAT_INTERVAL, and the next one says how many were left out."""
    logger = logging.getLogger("uvicorn.error")
    for _ in range(3000):
        logger.warning("Invalid HTTP request received.")
        logger.warning("%s refused", PHONE)
    logger.error("Exception in ASGI application", exc_info=ValueError(PHONE))
    logger.error("Exception in ASGI application", exc_info=KeyError(PHONE))
    assert len(log.lines) == 4
    assert all("left_out" not in line for line in log.lines)
    monkeypatch.setattr(logs, "REPEAT_INTERVAL", 0.0)
    logger.warning("%s refused", PHONE)
    logger.warning("%s refused", PHONE)
    assert [line.get("left_out") for line in log.lines[4:]] == [2999, None]


def test_own_lines_are_all_shown(log: Log) -> None:
    """The bridge's own lines are changes of state: two of one kind are both shown."""
    own().warning("kafka-unavailable")
    own().warning("kafka-unavailable")
    assert len(log.lines) == 2


def test_level(log: Log) -> None:
    """Lines under the level are left out, and configuring again replaces the level and doubles no line."""
    own().debug("left out")
    log.configure("debug")
    own().debug("shown")
    log.configure("error")
    own().warning("left out")
    assert [line["event"] for line in log.lines] == ["shown"]


def test_bound_context(log: Log) -> None:
    """Fields bound to the context, such as the account, are on each line."""
    with structlog.contextvars.bound_contextvars(account="sales"):
        own().info("holding")
    assert log.lines[0]["account"] == "sales"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "sasl_password",
        "cookies",
        "Set-Cookie",
        "X-CSRF-TOKEN",
        "Authorization",
        "phoneNumber",
        "phone",
        "clientId",
        "client_id",
        "api_token",
        "client_secret",
        "statusMessage",
    ],
)
def test_private_field(log: Log, name: str) -> None:
    """A field whose name says that it is private shows masked, at any depth."""
    own().info("x", **{name: PHONE}, outer={"inner": [{name: PHONE}]})
    assert PHONE not in log.text
    assert log.lines[0][name] == log.lines[0]["outer"]["inner"][0][name] == "***"


def test_unknown_object(log: Log) -> None:
    """Of an object that is no plain value only the class shows, not its repr."""
    own().info("x", reply=PHONE.encode(), error=ValueError(PHONE))
    assert log.lines[0]["reply"] == "<bytes>"
    assert log.lines[0]["error"] == "ValueError"


def test_own_exception(log: Log) -> None:
    """An exception of the bridge shows its code and text, its foreign cause only the class, with places in the code."""
    known: dict[str, str] = {}

    def fail() -> None:
        try:
            known[PHONE]
        except KeyError as error:
            raise ExchangeFailed("status", "503") from error

    try:
        fail()
    except ExchangeFailed:
        own().exception("exchange failed")
    (line,) = log.lines
    assert line["error"] == "cometd-exchange: status: 503 < KeyError"
    assert line["at"][-1].endswith("fail")
    assert PHONE not in log.text


def test_exception_group(log: Log) -> None:
    """A task group's exception shows each class in it."""
    own().error("stopped", exc_info=ExceptionGroup(PHONE, [ValueError(PHONE), ExchangeFailed("status")]))
    assert log.lines[0]["error"] == "ExceptionGroup(ValueError, cometd-exchange: status)"
    assert PHONE not in log.text


@pytest.mark.parametrize("library", ["aiocometd.client", "aiokafka.conn", "aiohttp.access", "uvicorn.error", "asyncio"])
@pytest.mark.parametrize("level", ["debug", "info"])
def test_libraries_are_quiet(log: Log, library: str, level: Level) -> None:
    """Libraries speak only at warning and above, whatever level the bridge or their own logger has."""
    log.configure(level)
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        logger.debug("debug")
        logger.info("info")
        logger.warning("%s", 1)
    finally:
        logger.setLevel(before)
    assert [(line["level"], line["logger"]) for line in log.lines] == [("warning", library)]


def test_aiokafka_is_silent(log: Log) -> None:
    """The library repeats an error at each attempt of an outage; the bridge says once what it means."""
    log.configure("debug")
    logging.getLogger("aiokafka.conn").error("Unable connect to node")
    assert log.lines == []


def test_library_arguments(log: Log) -> None:
    """Of a library's line the template shows, with small numbers and classes of exceptions, and no text."""
    logger = logging.getLogger("aiohttp.client")
    logger.error("Unable connect to node with id %s: %s %s %d", 3, OSError(PHONE), PHONE, int(PHONE))
    logger.error("%(who)s called", {"who": PHONE})
    first, second = log.lines
    assert first["event"] == "Unable connect to node with id %s: %s %s %d"
    assert first["arguments"] == [3, "OSError", "***", "***"]
    assert second["arguments"] == ["***"]
    assert PHONE not in log.text


@pytest.mark.parametrize(
    "speak",
    [
        lambda logger: logger.warning(f"Failed to send payload {PHONE}"),  # noqa: G004 -- as libraries do it
        lambda logger: logger.warning({"phone": PHONE}),
        lambda logger: logger.warning(ValueError(PHONE)),
        lambda logger: logger.warning("x", extra={"event": PHONE, "number": PHONE}),
        lambda logger: logger.warning("%d", PHONE),
        lambda logger: logger.warning("x", exc_info=ValueError(PHONE)),
        lambda logger: logger.warning("x", stack_info=True, exc_info=KeyError(PHONE)),
    ],
)
def test_library_text(log: Log, speak: Callable[[logging.Logger], None], capsys: pytest.CaptureFixture[str]) -> None:
    """However a library puts a phone number into its line, it stays out of the log, and one line tells of it."""
    log.configure()  # takes out pytest's own handler, which would format the line
    speak(logging.getLogger("aiocometd.transports.long_polling"))
    assert len(log.lines) == 1
    assert PHONE not in log.text
    assert capsys.readouterr() == ("", "")


def test_lost_task(log: Log) -> None:
    """What asyncio says of a lost task keeps its opening words and the exception's class."""
    logging.getLogger("asyncio").error(
        f"Task exception was never retrieved\nfuture: <Task {PHONE}>",  # noqa: G004 -- as asyncio does it
        exc_info=RuntimeError(PHONE),
    )
    (line,) = log.lines
    assert (line["event"], line["error"]) == ("Task exception was never retrieved", "RuntimeError")
    assert PHONE not in log.text
