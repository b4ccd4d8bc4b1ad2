"""What an outsider may send: valid documents with single nodes replaced by junk, and damaged bytes.

A document that is nearly right gets past the first check and finds faults behind it; random bytes rarely do.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Verbatim:
    """Bytes that stand in a document as they are: what no encoder would write, valid JSON or not."""

    content: bytes

    def __repr__(self) -> str:
        start = repr(self.content[:24])
        return f"Verbatim({start})" if len(self.content) <= 24 else f"Verbatim({start}…, {len(self.content)} bytes)"


ODD_NUMBERS: Final = (b"1e999", b"-1e400", b"1e308", b"-0", b"0.1", b"1.0", b"9" * 400, b"-" + b"9" * 5000, b"1e-400")
ODD_TEXTS: Final = (
    rb'"\ud800"',
    rb'"\udc00\ud800"',
    rb'"\u0000"',
    rb'"\u001b[31m"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"' + b"x" * 70_000 + b'"',
    '"\u202e\u2028\U0001f4a5"'.encode(),
    b'"[/b]{}%s"',
)
NO_JSON: Final = (b"NaN", b"-Infinity", b"01", b"", b"{", b"]", b"'x'", b'"\n"', b"\xff", b"tru", b"//", b"\x00")
NESTED: Final = (b"[" * 600 + b"]" * 600, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[" * 100_000 + b"]" * 100_000)
TWICE: Final = (b'{"a":1,"a":2}', b'{"":{"":{}}}')
BOUNDARIES: Final = (0, -1, 1, 134, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**18, 10**400)

SCALARS: Final = (
    *(None, True, False, "", "0", "-1", "1e999", "agent", "x" * 300, 1.5, -1.0, 1e308, 5e-324),
    *("2026-01-01T00:00:00.000Z", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59.999-23:59", "2026-01-01", "24:00"),
)
ODD: Final[tuple[Any, ...]] = (
    *map(Verbatim, (*ODD_NUMBERS, *ODD_TEXTS, *TWICE, *NESTED)),
    *(*SCALARS, *BOUNDARIES, [], {}, [None], [[]], {"a": {}}, ["x", 1], {"id": None}),
)
"""Values in the place of others: of another type, at a boundary, or hardly JSON."""

odd = st.sampled_from(ODD)
scalars = st.one_of(st.sampled_from(SCALARS), st.sampled_from(BOUNDARIES), st.floats(), st.text(max_size=12))
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.text(max_size=6), st.one_of(scalars, odd), max_size=3),
)
junk = st.one_of(odd, odd, values, st.sampled_from(NO_JSON).map(Verbatim))


def sweep(document: Any) -> Iterator[tuple[str, bytes]]:
    """Yield the document with each of its nodes replaced by each odd value, and left out; named by what was done."""
    for place in range(places(document)):
        for value in ODD:
            yield f"node {place}: {value!r:.60}", encoded(Change(place, "replace", value)(document))
        yield f"node {place} left out", encoded(Change(place, "remove", None)(document))


def encoded(document: object) -> bytes:
    """Write a document with its `Verbatim` parts; text that is no UTF-8 is escaped, as JSON allows."""
    if isinstance(document, Verbatim):
        return document.content
    if isinstance(document, dict):
        members = (json.dumps(str(name)).encode() + b":" + encoded(value) for name, value in document.items())
        return b"{" + b",".join(members) + b"}"
    if isinstance(document, list | tuple):
        return b"[" + b",".join(map(encoded, document)) + b"]"
    if isinstance(document, float) and math.isnan(document):
        return b"NaN"
    if isinstance(document, int) and not isinstance(document, bool) and abs(document) >= 10**300:
        return (b"-" if document < 0 else b"") + b"1" + b"0" * 400  # Python writes no such number as text
    return json.dumps(document).encode()


@dataclass(frozen=True)
class Change:
    """One change of a document: what happens to the node that `place` (any number) falls on."""

    place: int
    kind: str
    value: Any

    def __call__(self, document: Any) -> Any:
        """Return the document with the change; the original stays as it is."""
        document = copy.deepcopy(document)
        nodes = list(_nodes(document))
        if not nodes:
            return self.value
        parent, key = nodes[self.place % len(nodes)]
        if self.kind == "replace":
            parent[key] = self.value
        elif self.kind == "remove":
            del parent[key]
        elif self.kind == "wrap":
            parent[key] = [parent[key]]
        elif self.kind == "text":
            parent[key] = str(parent[key])
        elif isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            parent[f"{key}'"] = parent[key]
        return document


def places(document: Any) -> int:
    """How many nodes a document has: the places of changes."""
    return sum(1 for _ in _nodes(document))


def _nodes(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each node by its parent and its place in it."""
    children: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(document, dict):
        children = iter(list(document.items()))
    elif isinstance(document, list):
        children = iter(list(enumerate(document)))
    for key, value in children:
        yield document, key
        yield from _nodes(value)


def changes(replacements: st.SearchStrategy[Any] = junk) -> st.SearchStrategy[list[Change]]:
    """One to three changes of a document that is not known yet; mostly one, which leaves the rest of it right."""
    kinds = st.sampled_from(["replace"] * 6 + ["remove", "wrap", "text", "repeat"])
    one = st.builds(Change, st.integers(0, 200), kinds, replacements)
    return st.one_of(one.map(lambda change: [change]), st.lists(one, min_size=1, max_size=3))


def changed(document: Any, applied: Sequence[Change]) -> Any:
    """Return the document with these changes."""
    for change in applied:
        document = change(document)
    return document


def mutated(*documents: Any, replacements: st.SearchStrategy[Any] = junk) -> st.SearchStrategy[Any]:
    """One of the documents with one to three of its nodes changed."""
    return st.builds(changed, st.sampled_from(documents), changes(replacements))


@dataclass(frozen=True)
class Damage:
    """Damage to bytes on their way: where (any number), and what."""

    place: int
    kind: str
    content: bytes

    def __call__(self, body: bytes) -> bytes:
        """Return the damaged bytes."""
        place = self.place % (len(body) + 1)
        if self.kind == "cut":
            return body[:place]
        if self.kind == "insert":
            return body[:place] + self.content + body[place:]
        if self.kind == "overwrite":
            return body[:place] + self.content + body[place + len(self.content) :]
        return self.content if self.kind == "replace" else body


damages = st.builds(
    Damage,
    st.integers(0, 5000),
    st.sampled_from(["none", "none", "none", "cut", "insert", "overwrite", "replace"]),
    st.one_of(st.binary(max_size=8), st.sampled_from([*NO_JSON, *NESTED, b"\xef\xbb\xbf", b"<html>", b"\x1f\x8b\x08"])),
)
"""Most leave the bytes as they are: the changes of the document are enough."""


def bodies(*documents: Any) -> st.SearchStrategy[bytes]:
    """One of the documents, changed, written as JSON, and perhaps damaged."""
    return st.builds(lambda document, damage: damage(encoded(document)), mutated(*documents), damages)


def field_values() -> st.SearchStrategy[bytes]:
    """Content of an HTTP header field, as bytes that the framing of HTTP allows to stand there."""
    odd = [
        b"",
        b"\xff\xfe",
        b"a=b",
        b"Content-Length",
        b"\x7f",
        b"x" * 9000,
        "schl\u00fcssel".encode(),
        b"a\x00b",
        b" ",
    ]
    allowed = st.binary(max_size=24).map(lambda one: one.replace(b"\r", b"").replace(b"\n", b""))
    return st.one_of(st.sampled_from(odd), allowed)
