"""How records are shown, and what the demo calls."""

import io
import itertools
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from bridge import cli
from bridge.commands import dead_letters
from bridge.commands.checks.finding import failed
from bridge.commands.checks.output import print_findings
from bridge.commands.demo.calls import calls, curl
from bridge.commands.output.views import ROWS, Lines, LiveTable, json_line, short_name, style_of, summary
from bridge.commands.tail import TailOptions, read_since
from bridge.delivery import ConsumedRecord
from bridge.errors import CommandFailed
from tests.page import REQUEST


def record(value: bytes | None, *, key: bytes | None = b"134/Campaign1/13", offset: int = 7) -> ConsumedRecord:
    return ConsumedRecord("gws.acknowledgements.v1", 2, offset, 1_700_000_000_000, key, {"ce_id": b"a-1"}, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"a": [1, "\\u00e9\\n"]}', {"a": [1, "\u00e9\n"]}),
        (None, None),
        (b"not json", "not json"),
        (b"\xff", "\ufffd"),
    ],
)
def test_json_line(value: bytes | None, expected: object) -> None:
    """A record is one JSON object in one line, whatever its value is."""
    line = json_line(record(value))
    assert "\n" not in line
    assert json.loads(line) == {
        "topic": "gws.acknowledgements.v1",
        "partition": 2,
        "offset": 7,
        "key": "134/Campaign1/13",
        "headers": {"ce_id": "a-1"},
        "value": expected,
    }


def test_json_line_without_key() -> None:
    """A record without a key has null there."""
    assert json.loads(json_line(record(b"{}", key=None)))["key"] is None


def test_live_table_shows_the_newest_records_in_80_columns() -> None:
    """The table tells how many records there were, and shows the newest ones without cutting what tells them apart."""
    output = io.StringIO()
    value = b'{"notificationType": "DoNotCallAcknowledge", "referenceId": "123456789"}'
    with LiveTable(Console(file=output, width=80, force_terminal=True, color_system=None)) as table:
        for offset in range(ROWS + 3):
            table.show(record(value, offset=offset))
    last = output.getvalue().rpartition("Kafka: ")[2]
    assert last.startswith(f"{ROWS + 3} events")
    assert "acknowledgements.v1/2@2 " not in last
    for offset in range(3, ROWS + 3):
        assert f"acknowledgements.v1/2@{offset} " in last
    assert last.count("134/Campaign1/13 ") == last.count("DoNotCallAcknowledge ") == last.count("123456789") == ROWS


def told(kind: str = "acknowledgements", /, key: str = "134/Campaign1/13", **value: object) -> ConsumedRecord:
    """A record of the topic of this kind with this value."""
    return msgspec.structs.replace(record(json.dumps(value).encode(), key=key.encode()), topic=f"gws.{kind}.v1")


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("key", ["134/Campaign1/13", "134/" + "x" * 200 + "/13", "\u5185" * 40])
@pytest.mark.parametrize("width", [80, 100, 160])
def test_an_event_takes_one_line_of_the_terminal(width: int, key: str) -> None:
    """Header and events fit into the terminal, with date and time, and the end of a long key stays visible."""
    console = terminal(width)
    with Lines(as_json=False, console=console) as lines:
        lines.show(told(key=key, notificationType="DoNotCallAcknowledge", referenceId="r" * 40))
    header, line = written(console)
    assert cell_len(header) <= width
    assert cell_len(line) <= width
    assert line.startswith("2023-11-14 22:13:20  acknowledgements  DoNotCallAcknowledge  ")
    assert key[-3:] in line
    assert ("REFERENCE" in header) is (width >= 100)


def test_a_letter_takes_one_line_of_the_terminal() -> None:
    """At 80 columns, a dead letter shows time, reason, topic, key and a short digest."""
    console = terminal(80)
    digest = "9fae028b" + "0" * 56
    letter = told("dead-letters", reason="too-large", topic="acknowledgements.v1", size=1, sha256=digest)
    dead_letters.print_letters([letter], console, wide=False)
    header, line = written(console)
    assert header.split() == ["TIME", "(UTC)", "REASON", "TOPIC", "KEY", "SHA256"]
    assert line.split() == ["2023-11-14", "22:13:20", "too-large", "acknowledgements", "134/Campaign1/13", "9fae028b"]
    assert len(line) <= 80


def test_nothing_is_cut_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Other programs find the whole key and reference in a line."""
    monkeypatch.delenv("COLUMNS", raising=False)
    key, reference = "134/" + "x" * 100 + "/13", "r" * 100
    with Lines(as_json=False, console=Console(force_terminal=False)) as lines:
        lines.show(told(key=key, notificationType="DoNotCallAcknowledge", referenceId=reference))
    assert capsys.readouterr().out.splitlines()[1].split()[-2:] == [key, reference]


def test_keys_do_not_shift_columns_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a pipe, the references stand below their title beside short keys and beside keys of 40 characters."""
    monkeypatch.delenv("COLUMNS", raising=False)
    with Lines(as_json=False, console=Console(force_terminal=False)) as lines:
        for key in ("134/Campaign1/13", "k" * 40):
            lines.show(told(key=key, notificationType="DoNotCallAcknowledge", referenceId="r-1"))
    header, *rows = capsys.readouterr().out.splitlines()
    assert [row.index("r-1") for row in rows] == [header.index("REFERENCE")] * 2


@pytest.mark.parametrize(
    ("shown", "style"),
    [
        (told("sessions", change="gap"), "bold red"),
        (told("sessions", change="opened"), ""),
        (told("operations", status="timed-out"), "red"),
        (told("operations", status="rejected"), "red"),
        (told("operations", status="acknowledged", late=True), "yellow"),
        (told("operations", status="acknowledged", late=False), ""),
        (told("dead-letters", reason="too-large"), "red"),
        (told("acknowledgements", notificationType="gap"), ""),
    ],
)
def test_colours(shown: ConsumedRecord, style: str) -> None:
    """Failures are red, gaps are bold red, and late acknowledgements are yellow."""
    assert style_of(shown.topic, summary(shown)) == style


def test_a_late_acknowledgement_is_called_late() -> None:
    """The row says what the colour says, for terminals without colours and for grep."""
    assert summary(told("operations", status="acknowledged", late=True)).event == "acknowledged, late"


@pytest.mark.parametrize(
    ("topic", "name"),
    [("gws.user-events.v1", "user-events"), ("a.b.operations.v1", "operations"), ("a.v2.bridge-state", "bridge-state")],
)
def test_short_names(topic: str, name: str) -> None:
    """A row shows a topic without prefix and version."""
    assert short_name(topic) == name


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (TailOptions(), True),
        (TailOptions(key="134/Campaign1/13"), True),
        (TailOptions(key="134/Campaign1/1"), False),
        (TailOptions(reference="r-1"), True),
        (TailOptions(reference="r"), False),
        (TailOptions(key="134/Campaign1/13", reference="r"), False),
    ],
)
def test_filters(options: TailOptions, *, wanted: bool) -> None:
    """`--key` and `--reference` compare the whole text, and both must fit."""
    assert options.wants(told(referenceId="r-1")) is wanted


def test_a_reference_is_no_part_of_an_odd_value() -> None:
    """A value that is not a JSON object has no reference."""
    assert not TailOptions(reference="r").wants(record(b'["r"]'))
    assert not TailOptions(reference="r").wants(record(None))


def test_since() -> None:
    """A period counts back from now, and a time without offset is UTC."""
    before = datetime.now(UTC)
    assert before <= read_since("2h") + timedelta(hours=2) <= datetime.now(UTC)
    assert read_since("2026-01-31T12:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert read_since("2026-01-31T12:00+02:00") == datetime(2026, 1, 31, 10, tzinfo=UTC)


HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "[/b]",
    "[bold red]x[/]",
    "a\r\nb",
    "\u202ecod.exe",
    "\x7f\x00",
    "\u2028",
    "x" * 5000,
]


def hostile_record(text: str) -> ConsumedRecord:
    """A record in which everything that a caller can write is this text."""
    told = {"status": text, "referenceId": text, "reason": text, "sha256": {text: [text]}}
    return record(json.dumps(told).encode(), key=text.encode())


def is_harmless(output: str) -> bool:
    """Tell whether nothing but lines of visible text was written."""
    return all(line.isprintable() for line in output.split("\n"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_lines_show_no_control_characters(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a caller wrote, a record is one line of visible text, bounded, and as JSON the same value again."""
    for as_json in (False, True):
        with Lines(as_json=as_json) as lines:
            lines.show(hostile_record(hostile))
    header, plain, as_line, rest = capsys.readouterr().out.split("\n")
    assert header.startswith("TIME (UTC) ")
    assert is_harmless(plain + as_line)
    assert rest == ""
    assert len(plain) < 2000
    assert json.loads(as_line)["value"]["referenceId"] == json.loads(as_line)["key"] == hostile


@given(st.text() | st.binary(), st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_no_record_breaks_the_output(content: str | bytes, timestamp: int) -> None:
    """No value, key or time of a record keeps it from being shown, and JSON output is JSON always."""
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    shown = ConsumedRecord("t", 0, 0, timestamp, raw, {"h\x1b": raw}, raw)
    assert all(map(str.isprintable, summary(shown)[:5]))
    line = json_line(shown)
    assert line.isprintable()
    assert json.loads(line)["headers"]["h\x1b"] == raw.decode(errors="replace")


@pytest.mark.parametrize(
    "value",
    [b"[" * 100_000, b"[" * 900 + b"]" * 900, b"9" * 5000, b"1e999", b'"\\ud800"', b"\xff", b'{"referenceId": NaN}'],
)
def test_odd_values_are_shown(value: bytes) -> None:
    """A value that no parser takes, nested too deeply or with impossible numbers, is shown as text."""
    assert json.loads(json_line(record(value)))["offset"] == 7
    assert all(map(str.isprintable, summary(record(value))[:5]))


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_tables_show_no_control_characters_and_no_markup(
    hostile: str, *, terminal: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables of dead letters, findings and the demo show what was written, not what it would do to a terminal."""
    output = io.StringIO()
    console = Console(file=output, width=300, force_terminal=terminal, color_system=None)
    dead_letters.print_letters([hostile_record(hostile)], console, wide=True)
    print_findings(console, [failed(hostile, hostile)], several=False)
    live = Console(file=output, width=300, color_system=None)
    with LiveTable(live) as table:
        table.show(hostile_record(hostile))
    written = output.getvalue() + capsys.readouterr().out
    assert is_harmless(written)
    if hostile.startswith("["):
        assert written.count(hostile) >= 4


def test_errors_show_no_control_characters() -> None:
    """The text of an error that ends a command is shown without control characters, line by line."""

    @cli.app.command("fail-for-a-test", hidden=True)
    def fail() -> None:
        raise CommandFailed("first \x1b[2J\nsecond \u202e")

    try:
        result = CliRunner().invoke(cli.app, ["fail-for-a-test"])
    finally:
        cli.app.registered_commands.pop()
    assert (result.exit_code, result.stderr) == (1, "first \\x1b[2J\nsecond \\u202e\n")


def test_the_first_call_is_the_documentations_example() -> None:
    """The demo begins with the page DoNotCallRecord's own request."""
    assert next(calls()) == ("/api/v2/me/outbound-records/13", REQUEST)


def test_the_calls_vary() -> None:
    """The calls have references of their own, several handles and campaigns, and some name the record by number."""
    some = list(itertools.islice(calls(), 20))
    assert len({body["referenceId"] for _, body in some}) == 20
    assert len({body["campaignName"] for _, body in some}) == 3
    assert len({path for path, _ in some}) > 5
    by_number = [body for path, body in some if path.endswith("/outbound-records")]
    assert len(by_number) > 3
    assert all("phoneNumber" in body for body in by_number)


def test_curl_line() -> None:
    """The line for a shell holds the whole example but its referenceId, which the demo's first call has used."""
    line = curl("http://127.0.0.1:1")
    assert line.startswith("curl http://127.0.0.1:1/api/v2/me/outbound-records/13 ")
    body = json.loads(line.split("'")[-2])
    assert body == {name: value for name, value in REQUEST.items() if name != "referenceId"}
