"""How records are shown, and what the demo calls."""

import io
import itertools
import json

import pytest
from rich.console import Console

from bridge.commands.demo_calls import calls, curl
from bridge.commands.shown import ROWS, LiveTable, json_line
from bridge.delivery import ConsumedRecord
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
    with LiveTable(Console(file=output, width=80, force_terminal=True, color_system=None), "read") as table:
        for offset in range(ROWS + 3):
            table.show(record(value, offset=offset))
    last = output.getvalue().rpartition("read: ")[2]
    assert last.startswith(f"{ROWS + 3} events")
    assert "acknowledgements.v1/2@2 " not in last
    for offset in range(3, ROWS + 3):
        assert f"acknowledgements.v1/2@{offset} " in last
    assert last.count("134/Campaign1/13 ") == last.count("DoNotCallAcknowledge ") == last.count("123456789") == ROWS


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
    """The line for a shell holds the whole example."""
    line = curl("http://127.0.0.1:1")
    assert line.startswith("curl http://127.0.0.1:1/api/v2/me/outbound-records/13 ")
    assert json.loads(line.split("'")[-2]) == REQUEST
