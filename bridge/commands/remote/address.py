"""Checks the options by which a command finds a running bridge: `--url` and `--token-file`. Explains failed calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge import tls
from bridge.errors import UnusableInput
from bridge.settings import is_loopback

if TYPE_CHECKING:
    from pathlib import Path


def base_url(url: str) -> str:
    """Return the bridge's address without a slash at its end.

    Raises:
        UnusableInput: the address is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise UnusableInput("--url must be the bridge's address, such as http://127.0.0.1:8080")
    return url.rstrip("/")


def exposed_token(url: str, token_file: Path | None) -> str | None:
    """Return a warning if requests to the bridge at `url` show the token to others on the network, else None."""
    parts = urlsplit(url)
    if token_file is None or parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return None
    return f"warning: {url} has no TLS, so others on the network can read the token and everything that is sent"


def read_token(file: Path) -> str:
    """Return the bearer token in the file.

    Raises:
        UnusableInput: the file can't be read, or does not contain exactly one token.
    """
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not ASCII text"
        raise UnusableInput(f"the token file {file} can't be read: {cause}") from None
    if not token or not token.isprintable() or " " in token:
        raise UnusableInput(f"the token file {file} must hold one token and nothing else")
    return token


def cause_of(error: Exception) -> str:
    """Return in words why a bridge did not answer."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if (reason := tls.fault(error)) is not None:
        return tls.TEXTS[reason]
    # aiohttp replaces the system's text in `strerror`, but `errno` is still the system's number.
    number = getattr(error, "errno", None) or 0
    if number < 0:  # from getaddrinfo
        return "its host name can't be resolved"
    return os.strerror(number).lower() if number else type(error).__name__
