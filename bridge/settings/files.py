"""Reads the files that settings name, with errors that name the file.

A path may be a misplaced secret, so an error shows only the part of the path that exists.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bridge.errors import UNDECODABLE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ENCODING: Final = "utf-8-sig"
"""UTF-8. A byte order mark at the beginning, which some editors on Windows write, is ignored."""
_BREAK: Final = "a text has a line break; is its closing quote missing?"
# The parser's messages may quote the file. The messages that begin with these texts (Python 3.11 to 3.13) quote
# nothing.
_CAUSES: Final = {
    "Invalid value": "a value is missing or wrong; a text needs quotes",
    "Invalid initial character for a key part": "a key is missing",
    "Invalid statement": "this is no key, no [section] and no comment",
    "Invalid date or datetime": "a date does not exist",
    "Invalid hex value": "a \\x, \\u or \\U in a text needs a number",
    "Expected '=' after a key": "`=` is missing after a key",
    "Expected ']": "the `]` of a section is missing",
    "Expected newline": "a value must end its line; a text needs quotes",
    "Cannot overwrite a value": "a key is set twice",
    "Duplicate inline table key": "a key is set twice",
    "Cannot declare": "a section is declared twice",
    "Cannot redefine": "a section is declared twice",
    "Unclosed array": "the `]` of a list is missing",
    "Unclosed inline table": "the `}` of a table is missing",
    "Unterminated string": "the closing quote is missing",
    "Illegal character": _BREAK,
    "Found invalid character": _BREAK,
    "Unescaped '\\'": "a text has a \\; use single quotes around the text",
}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ValueError: the file can't be read. The error's text never quotes the file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    return parse_toml(content)


def parse_toml(content: bytes) -> dict[str, Any]:
    """Parse the content of a TOML file.

    Raises:
        ValueError: it is not TOML. The error's text never quotes the content.
    """
    try:
        return tomllib.loads(content.decode(ENCODING))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except UNDECODABLE as error:
        text = str(error)
        place = re.search(r"\(at [^()]*\)\Z", text)
        cause = next((cause for start, cause in _CAUSES.items() if text.startswith(start)), None)
        parts = ["is not TOML", place[0] if place else "", f": {cause}" if cause else ""]
        raise ValueError(" ".join(part for part in parts if part).replace(" :", ":")) from None


def read_secret(path: Path) -> str:
    """Read a secret from its file, without the line break at its end.

    Raises:
        ValueError: the file can't be read.
    """
    try:
        return path.read_text(encoding=ENCODING).rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}{where(path)}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file is not UTF-8{where(path)}") from None


def signing_key(path: Path) -> Ed25519PrivateKey | None:
    """Return the Ed25519 private key in a PEM file, None if the file has none that is readable without a passphrase.

    Raises:
        OSError: the file can't be read.
    """
    # Imported here, because these imports take 2 % of each start, and most bridges have no signing key.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def where(path: Path) -> str:
    """Return the path, or the part of the path that exists, in parentheses, for the end of an error's text."""
    try:
        if path.exists() or (path.parent.is_dir() and path.parent not in {Path(), Path("/")}):
            return f" ({path})"
        there = next(one for one in path.absolute().parents if one.is_dir())
    except (OSError, ValueError, StopIteration):
        return ""
    if path.parent == Path():
        return f" (a path without a directory, looked for in {there})"
    return "" if there == Path("/") else f" (a path of which only {there} exists)"
