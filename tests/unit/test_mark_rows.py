import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.commands.mark.rows import Row
from bridge.errors import UnusableInput
from tests.unit.mark_parts import form, rows, told

PHONE = "4155552671"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    """The delimiter is the one that the header has most of, outside quotes."""
    header = delimiter.join(["Record Handle", '"Name, first;|"', "Phone-Number"])
    assert told(f"{header}\n{delimiter.join(['13', 'x', PHONE])}\n") == {2: {"handle": "13", "phone": PHONE}}


@pytest.mark.parametrize(
    "text",
    [f"{PHONE}\n\n  \n{PHONE}\n", f"\n\n{PHONE}\n\n{PHONE}", f'"{PHONE}"\n,,\n;\n"{PHONE}"\n'],
)
def test_plain_numbers(text: str) -> None:
    """A list without header has one number a line; empty lines, and those of delimiters alone, are no rows."""
    found = [cells for cells in told(text).values() if cells == {"phone": PHONE}]
    assert len(found) == 2


def test_names_of_columns() -> None:
    """Known names need no --column, in any spelling; --column wins over them; other columns are not used."""
    text = "GSW_PHONE,Campaign Name,calling-list,applicationId,Device Path,Tel,Remark\n1,c,l,2,d,3,r\n"
    cells = {"phone": "1", "campaign": "c", "list": "l", "application": "2", "device": "d"}
    assert told(text) == {2: cells}
    assert told(text, phone="Tel") == {2: cells | {"phone": "3"}}
    assert form(text).described == (
        "table with comma; phone = GSW_PHONE, application = applicationId, campaign = Campaign Name, "
        "list = calling-list, device = Device Path; columns not used: 2"
    )


def test_columns_by_place() -> None:
    """Places count from 1 and say that there is no header."""
    assert told(f"Bob,{PHONE},13\nEve,{PHONE},\n", phone="2", handle="3") == {
        1: {"phone": PHONE, "handle": "13"},
        2: {"phone": PHONE},
    }


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("Name,Telefon\nx,1\n", {}, "no column with phone numbers or record handles among 'Name', 'Telefon'"),
        ("Name,Telefon\nx,1\n", {"phone": "Fon"}, "no column 'Fon'; there are 'Name', 'Telefon'"),
        ("a,b\n1,2\n", {"phone": "3"}, "has 2 columns"),
        ("phone,number\n1,2\n", {}, "both look like --column phone"),
        ('[{"phone": "1"}]', {}, "JSON array"),
        ('{"fon": "1"}\n', {}, "no column with phone numbers"),
        ("x" * 100_000, {}, "longer than"),
    ],
)
def test_unusable(text: str, columns: dict[str, str], words: str) -> None:
    """A list whose numbers can't be found is unusable, and the message says what there is."""
    with pytest.raises(UnusableInput, match=words):
        form(text, **columns)


def test_json_lines() -> None:
    """One object a line; numbers may be JSON's; what is not such an object is told by row."""
    lines = [
        {"phone": PHONE, "handle": 13, "x": [1]},
        {"phone": int(PHONE)},
        {"handle": 13.0, "phone": None},
        {"handle": 13.5},
        {"phone": [PHONE]},
        {"phone": True},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + "\nnonsense\n[1]\n" + "[" * 9000 + "\n"
    assert told(text) == {
        1: {"phone": PHONE, "handle": "13"},
        2: {"phone": PHONE},
        3: {"handle": "13"},
        4: "not-text",
        5: "not-text",
        6: "not-text",
        8: "not-json",
        9: "not-json",
        10: "not-json",
    }


def test_quotes() -> None:
    """Quoted cells may hold delimiters, doubled quotes and line breaks."""
    text = f'name,phone\n"a, ""b""",{PHONE}\n"two\nlines",{PHONE}\n5" pipe,{PHONE}\n'
    assert told(text) == {number: {"phone": PHONE} for number in (2, 3, 5)}


def test_an_open_quote_swallows_no_row() -> None:
    """A quote that is never closed, or closed in another row, spoils its own row only."""
    good = f"x,{PHONE}\n"
    text = "name,phone\n" + good + f'"open,{PHONE}\n' + good * 50 + f'"again,{PHONE}\n' + good + f'b"c"",{PHONE}\n'
    found = told(text)
    assert found.pop(3) == "open-quote"
    assert found.pop(54) == "quotes"
    assert list(found) == [2, *range(4, 54), 55, 56]
    assert told(f'name,phone\n"a,{PHONE}\n{good}b",{PHONE}\n') == {
        2: "ambiguous-quote",
        3: {"phone": PHONE},
        4: {"phone": PHONE},
    }
    assert told(f'name,phone,x\n"a,{PHONE}\n1,2,3,4\nb",{PHONE},3\n')[2] == "ambiguous-quote"
    assert told(f'name,phone\n"a"b,{PHONE}\n{good}') == {2: "quotes", 3: {"phone": PHONE}}


def test_missing_and_further_columns() -> None:
    """A row may leave out cells at its end; one with more cells than the header is told, for its cells have moved."""
    assert told(f"phone,name\n{PHONE}\n{PHONE},Smith, John\n") == {2: {"phone": PHONE}, 3: "columns"}


def test_a_long_line() -> None:
    """A line of 10 MB is told by its row, and costs no other."""
    assert told(f"{PHONE}\n" + "5" * 10_000_000 + f"\n{PHONE}\n") == {
        1: {"phone": PHONE},
        2: "line-too-long",
        3: {"phone": PHONE},
    }


TABLES = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8),
        st.from_regex(r"[0-9]{3,9}", fullmatch=True),
    ),
    min_size=1,
    max_size=20,
)


@given(TABLES, st.sampled_from([",", ";", "\t", "|"]))
def test_every_row_of_a_table(table: list[tuple[str, str]], delimiter: str) -> None:
    """Each row that the csv module writes comes back once, in order."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["name", "phone"])
    writer.writerows(table)
    assert [dict(row.cells) for row in rows(text.getvalue()) if isinstance(row, Row)] == [
        {"phone": phone} for _, phone in table
    ]


@given(st.text(st.characters(codec="utf-8"), max_size=100) | st.text('",\n 1a{}[]', max_size=60))
def test_any_text(text: str) -> None:
    """Any text after a header is read as rows or told by row: no error, no line for two rows."""
    found = [row.number for row in rows(f"name,phone\n{text}")]
    assert found == sorted(set(found))
