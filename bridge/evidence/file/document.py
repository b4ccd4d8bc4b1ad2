"""The file of a bundle: JSON, with one line for each part of the bundle, and the digest of each part.

Each bundle can be written as bytes in exactly one way. So `verify` can name the part that contains a changed byte, even
if the changed JSON still has the same meaning.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridge.errors import UNDECODABLE
from bridge.evidence.bundle import FORMAT, Bundle, Head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KIND: Final = "bridge-evidence"
"""The kind of content that the signature of a document covers."""
_LISTS: Final = ("operations", "records", "gaps", "contradictions", "searched", "missing", "schemas")
_SECTION: Final = re.compile(rb'^"([a-zA-Z]+)":')
_BROAD: Final = frozenset({"", "bundle"})
_AFTER_DIGESTS: Final = frozenset({"signature", "timeStamp"})


class TimeStamp(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A time stamp of an authority (RFC 3161) over the signature."""

    authority: str
    """The URL of the authority."""
    response: str
    """The authority's response (TimeStampResp, DER), in base64."""
    sha256: str
    """SHA-256 of the response's bytes, in hexadecimal. The authority signs only a part of these bytes."""


class Document(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A bundle with its digests, its signature and its time stamp."""

    format: str
    bundle: Bundle
    digests: dict[str, str]
    """SHA-256 of each part's bytes in the file, in hexadecimal, by the part's name such as `records[3]`."""
    signature: str | None
    """A JSON Web Signature (RFC 7515, compact) over the digest of `digests`. None: not signed."""
    time_stamp: TimeStamp | None


class Malformed(ValueError):
    """The file is not a document. `part` names the part that can't be read, and `text` says why."""

    def __init__(self, part: str, text: str) -> None:
        super().__init__(f"{part}: {text}")
        self.part = part
        self.text = text


def document(bundle: Bundle) -> Document:
    """Return the document of a bundle, without a signature and a time stamp."""
    return Document(format=FORMAT, bundle=bundle, digests=digests_of(bundle), signature=None, time_stamp=None)


def digests_of(bundle: Bundle) -> dict[str, str]:
    """Return the digest of each part."""
    return {name: hashlib.sha256(part).hexdigest() for name, part in _parts(bundle)}


def root_of(digests: dict[str, str]) -> str:
    """Return the digest of all digests, which the signature covers."""
    return hashlib.sha256(msgspec.json.encode(digests)).hexdigest()


def signed_content(one: Document) -> dict[str, str]:
    """Return the content of the document's signature."""
    return {"digest": root_of(one.digests), "madeAt": one.bundle.head.made_at}


def stamped_content(one: Document) -> bytes:
    """Return the content of the document's time stamp: the signature, or the digest of all digests without one."""
    return (one.signature or root_of(one.digests)).encode()


def encode(one: Document) -> bytes:
    """Return the document as the bytes of its file."""
    bundle = one.bundle
    lines = [b"{", _member("format", one.format) + b",", b'"bundle":{', _member("head", bundle.head) + b","]
    for name in _LISTS:
        parts: Sequence[Any] = getattr(bundle, name)
        lines.append(f'"{name}":['.encode())
        lines += _listed([msgspec.json.encode(part) for part in parts])
        lines.append(b"]," if name != _LISTS[-1] else b"]},")
    lines.append(b'"digests":{')
    lines += _listed([_member(name, digest) for name, digest in one.digests.items()])
    lines += [b"},", _member("signature", one.signature) + b",", _member("timeStamp", one.time_stamp), b"}"]
    return b"\n".join(lines) + b"\n"


def decode(content: bytes) -> Document:
    """Return the document in a file.

    Raises:
        Malformed: the file is not a document of a known version.
    """
    try:
        one = msgspec.json.decode(content, type=Document)
    except msgspec.ValidationError as error:
        path = re.search(r"at `\$\.?(?:bundle\.)?([^`]*)`", str(error))
        part = path[1] if path else ""
        raise Malformed(part if part not in _BROAD else _damaged_heading(content), str(error)) from None
    except UNDECODABLE as error:
        place = None if isinstance(error, UnicodeDecodeError) else re.search(r"byte (\d+)", str(error))
        at = int(place[1]) if place else _undecodable(content)
        raise Malformed(part_at(content, at), f"the file is no valid JSON here ({error})") from None
    if one.format != FORMAT:
        raise Malformed("format", f"the version {one.format!r} is not known; this bridge knows {FORMAT!r}")
    return one


def difference(content: bytes, one: Document) -> int | None:
    """Return the place of the first byte that the bridge would write differently, or None if there is none."""
    written = encode(one)
    if content == written:
        return None
    return next(
        (at for at, (left, right) in enumerate(zip(content, written, strict=False)) if left != right),
        min(len(content), len(written)),
    )


def part_at(content: bytes, at: int) -> str:
    """Return the name of the part that contains the byte at `at`. Each part is one line of the file."""
    line = content.count(b"\n", 0, at)
    section, since = "the file's frame", 0
    for number, text in enumerate(content.split(b"\n")[: line + 1]):
        found = _SECTION.match(text)
        # In the list of digests, lines also begin with the names of other sections.
        if found is not None and (section != "digests" or found[1].decode() in _AFTER_DIGESTS):
            section, since = found[1].decode(), number
    if section in _LISTS:
        return f"{section}[{line - since - 1}]" if line > since else section
    return section


def _damaged_heading(content: bytes) -> str:
    """Return the section whose heading differs from the heading that the bridge writes."""
    headings = ("format", "bundle", "head", *_LISTS, "digests", "signature", "timeStamp")
    return next((name for name in headings if f'\n"{name}":'.encode() not in content), "the file's frame")


def _undecodable(content: bytes) -> int:
    """Return the first byte that is not UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _parts(bundle: Bundle) -> Iterator[tuple[str, bytes]]:
    yield "head", msgspec.json.encode(bundle.head)
    for name in _LISTS:
        for number, part in enumerate(getattr(bundle, name)):
            yield f"{name}[{number}]", msgspec.json.encode(part)
        # The length of the list, so that `verify` also notices a list that was emptied or shortened.
        yield name, str(len(getattr(bundle, name))).encode()


def _listed(parts: Sequence[bytes]) -> list[bytes]:
    return [part + (b"," if number < len(parts) else b"") for number, part in enumerate(parts, 1)]


def _member(name: str, value: str | Head | TimeStamp | None) -> bytes:
    return msgspec.json.encode(name) + b":" + msgspec.json.encode(value)
