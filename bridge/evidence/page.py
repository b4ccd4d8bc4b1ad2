"""Writes a bundle as one HTML page for people: self-contained, printable, without scripts.

The page is built as a tree of elements, so every text in it is escaped. Texts come from callers and from Web Services.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import msgspec

from bridge.errors import UNDECODABLE
from bridge.evidence.file.document import root_of
from bridge.observability import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.evidence.bundle import Bundle, OperationHistory, Place, StoredRecord
    from bridge.evidence.file.document import Document

STYLE: Final = """
body{font:15px/1.5 Georgia,'Times New Roman',serif;color:#111;background:#fff;max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2rem;border-bottom:1px solid #999}h3{font-size:1.05rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0}
th,td{border:1px solid #bbb;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f0f0f0}td:first-child{width:28%}
code,pre{font:12px/1.45 ui-monospace,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.good{color:#0a5c1e}.bad{color:#a3120a}.note{color:#444;font-style:italic}
@media print{body{margin:0;max-width:none;font-size:11px}article,tr{break-inside:avoid}}
"""
VERDICTS: Final = {
    "in-time": "Acknowledged in time",
    "late": "Acknowledged after the deadline",
    "waiting": "Not acknowledged yet; the deadline has not passed",
    "overdue": "Not acknowledged, and the deadline has passed",
    "rejected": "Rejected",
}
SIGNATURES: Final = {
    "valid": "signed by the account's bridge",
    "invalid": "the bridge's signature is NOT valid",
    "none": "not signed by a bridge",
    "unknown": "the bridge's signature could not be checked here",
}


def page(one: Document, name: str) -> bytes:
    """Return the page of a document. `name` is the name of the file that has the document."""
    bundle = one.bundle
    html = ET.Element("html", lang="en")
    head = _add(html, "head")
    _add(head, "meta", charset="utf-8")
    _add(head, "meta", name="viewport", content="width=device-width")
    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    ET.SubElement(head, "meta", policy)
    _add(head, "title", f"Evidence: {bundle.head.subject.kind} {bundle.head.subject.value}")
    _add(head, "style", STYLE)
    body = _add(html, "body")
    _summary(body, one, name)
    for history in bundle.operations:
        _history(body, history)
    _gaps(body, bundle)
    _listed(body, "Contradictions", [one.text for one in bundle.contradictions], "No records contradict each other.")
    _listed(body, "Searched and not found", [one.text for one in bundle.missing], "Nothing is missing.")
    _searched(body, bundle)
    _records(body, bundle.records)
    text = ET.tostring(html, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n".encode(errors="replace")


def _summary(body: ET.Element, one: Document, name: str) -> None:
    head = one.bundle.head
    _add(body, "h1", "Evidence of what became of a request")
    rows: list[tuple[str, object]] = [
        ("Subject", f"{head.subject.kind} {head.subject.value}"),
        ("Also searched as", ", ".join(head.subject.searched_as) or None),
        ("Made at", head.made_at),
        (
            "Period",
            f"{head.since or 'the oldest record'} to {head.until or 'the end'}" if head.since or head.until else None,
        ),
        ("Made by", f"cometd-kafka-bridge {head.bridge_version}, topics {head.topic_prefix}.*"),
        ("Phone numbers in the topics", head.phone_numbers),
        ("Time allowed", f"{head.deadline_days} calendar days from the request"),
        ("File", name),
        ("Digest of all parts (SHA-256)", root_of(one.digests)),
        ("Signature", "JSON Web Signature, in the file" if one.signature else "none: anybody could have made the file"),
        ("Time stamp", one.time_stamp.authority if one.time_stamp else "none"),
    ]
    _table(body, rows)
    _add(
        body,
        "p",
        "This page only shows the contents of the file. The signature is in the file, and "
        "“bridge evidence verify” checks the file. All times are UTC.",
        css="note",
    )
    if not one.bundle.operations:
        _add(body, "p", "No operation of this subject was found.", css="bad")


def _history(body: ET.Element, history: OperationHistory) -> None:
    box = _add(body, "article")
    _add(box, "h2", f"{history.operation} {history.reference_id}")
    good = history.verdict == "in-time"
    _add(box, "p", f"{VERDICTS[history.verdict]}.", css="good" if good else "bad")
    answer = history.answer
    reply = None
    if answer is not None:
        parts = (f"HTTP {answer.http_status}", f"statusCode {answer.status_code}", answer.status_message)
        reply = ", ".join(str(part) for part in parts if part)
    rows: list[tuple[str, object]] = [
        ("Requested at", history.received_at),
        ("Requested by", history.requested_by or "a caller without authentication"),
        ("Account at Web Services", history.account),
        ("Record", history.record_key),
        ("Forwarded request", bytes(history.request).decode(errors="replace")),
        ("Times forwarded", history.attempts),
        ("Answer of Web Services", reply),
        ("Last status", history.status + (" (after the time-out)" if history.late else "")),
        ("Deadline", history.deadline),
    ]
    if history.acknowledgement is not None:
        note = history.acknowledgement
        rows.append(("Acknowledged at", f"{note.received_at} ({note.what}, {_place(note.record)}, ce_id {note.ce_id})"))
    if history.seconds is not None:
        rows.append(("Time taken", f"{history.seconds:,} seconds ({history.days} days)"))
    _table(box, rows)
    _add(box, "h3", "Events of the operation")
    events = [
        (event.at, event.status, f"attempt {event.attempt}", _place(event.record), SIGNATURES[event.signature])
        for event in history.events
    ]
    _rows(box, ("at", "status", "", "record in Kafka", "signature"), events)
    if history.user_events:
        _add(box, "h3", "User events about the same record")
        user_events = [(one.received_at, one.what, _place(one.record), one.ce_id) for one in history.user_events]
        _rows(box, ("received at", "user event", "record in Kafka", "ce_id"), user_events)


def _gaps(body: ET.Element, bundle: Bundle) -> None:
    _add(body, "h2", "Gaps: periods in which events may have been lost")
    if not bundle.gaps:
        _add(body, "p", "No gap was found while an operation waited.")
        return
    rows = [
        (gap.account, gap.since or "not known", gap.until, gap.reason, ", ".join(gap.operations), _place(gap.record))
        for gap in bundle.gaps
    ]
    _rows(body, ("account", "from", "to", "reason", "operations that waited", "record in Kafka"), rows)


def _searched(body: ET.Element, bundle: Bundle) -> None:
    _add(body, "h2", "What was searched")
    rows = [
        (
            f"{one.topic} ({one.source})",
            one.reason,
            f"{len(one.ranges)} of {one.partitions}",
            "; ".join(f"{part.partition}: {part.since} to {part.until} (oldest {part.first})" for part in one.ranges),
            f"{sum(part.records for part in one.ranges):,}",
        )
        for one in bundle.searched
    ]
    _rows(body, ("topic", "searched", "partitions", "offsets by partition", "records read"), rows)


def _records(body: ET.Element, records: Sequence[StoredRecord]) -> None:
    _add(body, "h2", "Records, as Kafka has them")
    for record in records:
        box = _add(body, "article")
        _add(box, "h3", record.name)
        value = record.value_bytes()
        rows: list[tuple[str, object]] = [
            ("Timestamp", record.timestamp),
            ("Key", _text(base64.b64decode(record.key or ""))),
            ("SHA-256 of the value", hashlib.sha256(value).hexdigest()),
            ("Source", record.source),
        ]
        rows += [(f"Header {name}", _text(base64.b64decode(content))) for name, content in record.headers]
        _table(box, rows)
        _add(_add(box, "pre"), "code", _pretty(value))


def _listed(body: ET.Element, title: str, texts: Sequence[str], nothing: str) -> None:
    _add(body, "h2", title)
    if not texts:
        _add(body, "p", nothing)
        return
    box = _add(body, "ul")
    for text in texts:
        _add(box, "li", text)


def _table(body: ET.Element, rows: Iterable[tuple[str, object]]) -> None:
    table = _add(body, "table")
    for name, value in rows:
        if value is not None:
            row = _add(table, "tr")
            _add(row, "th", name, scope="row")
            _add(row, "td", str(value))


def _rows(body: ET.Element, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = _add(body, "table")
    heading = _add(table, "tr")
    for name in names:
        _add(heading, "th", name, scope="col")
    for cells in rows:
        row = _add(table, "tr")
        for cell in cells:
            _add(row, "td", "" if cell is None else str(cell))


def _add(
    parent: ET.Element, tag: str, text: str | None = None, *, css: str | None = None, **attributes: str
) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes | ({} if css is None else {"class": css}))
    # The style sheet is the page's own, and the only text that isn't escaped in HTML.
    element.text = text if text is None or tag == "style" else printable(text, None)
    return element


def _place(place: Place) -> str:
    return f"{place.topic}/{place.partition}@{place.offset}"


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _pretty(value: bytes) -> str:
    """Return a JSON value as text, and any other value in base64."""
    try:
        msgspec.json.decode(value)
    except UNDECODABLE:
        return base64.b64encode(value).decode()
    return _text(value)
