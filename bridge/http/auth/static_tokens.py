"""Authentication by static bearer tokens. A file has the SHA-256 hash of each token.

Libraries for password files use slow hashes, which would slow down every request. A random token needs no slow hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge.errors import SettingsError
from bridge.http.auth.authentication import SCOPES, USUAL, Caller, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LOOK_INTERVAL: Final = 1.0
"""Seconds between two checks whether the file has changed."""
LOOK_DEADLINE: Final = 1.0
"""Maximum seconds that a request waits for a check of the file, because the file system may hang."""
SETTING: Final = "BRIDGE_HTTP__AUTHENTICATION__TOKENS_FILE"
_LINE: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._@-]{0,63}):(?P<digest>[0-9A-Fa-f]{64})(:(?P<scopes>.*))?")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Version:
    """Identifies the content of the file. The inode is needed because secrets are often replaced by renaming."""

    modified_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Version:
        found = path.stat()
        return cls(found.st_mtime_ns, found.st_size, found.st_ino)


class StaticTokens:
    """The tokens of a file with lines `name:sha256-hex[:scopes]`.

    Spaces or commas separate scopes. A token without scopes has the scopes in `USUAL`.

    A name may have several lines, so that the old and the new token both work while one replaces the other. Empty lines
    and lines that start with # are ignored. If the last check is older than `LOOK_INTERVAL`, a request checks the file
    and reads it again if it has changed. If the new content is invalid, the old tokens stay valid, and a warning is
    logged. `clock` returns monotonic seconds.

    SHA-256 without salt or work factor is only safe for random tokens of 128 bits or more.

    Raises:
        SettingsError: the file can't be read or is invalid at the start.
    """

    scheme: Mapping[str, Any] | None = {"type": "http", "scheme": "bearer", "description": "A token from the operator."}

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._look: asyncio.Future[None] | None = None
        try:
            self._version: _Version | None = _Version.of(path)
            self._callers = _read(path)
        except OSError as error:
            raise SettingsError([f"{SETTING}: can't be read: {os.strerror(error.errno or 0)} ({path})"]) from None
        except ValueError as error:
            raise SettingsError([f"{SETTING}: {error} ({path})"]) from None

    async def caller(self, token: str) -> Caller:
        """Return the caller. The token's hash is compared with every hash of the file, each in constant time."""
        await self._renew()
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise InvalidToken
        return found

    async def _renew(self) -> None:
        """Check the file if a check is due.

        Only one check runs at a time, so a hanging check delays only one request.
        """
        if self._clock() - self._looked < LOOK_INTERVAL or not (self._look is None or self._look.done()):
            return
        self._looked = self._clock()
        self._look = asyncio.ensure_future(asyncio.to_thread(self._read_changed))
        finished, _ = await asyncio.wait({self._look}, timeout=LOOK_DEADLINE)
        for look in finished:
            look.result()

    def _read_changed(self) -> None:
        """Read the file again if it has changed. Runs in a thread."""
        try:
            version = _Version.of(self._path)
        except OSError:
            version = None
        if version == self._version:
            return
        self._version = version
        try:
            self._callers = _read(self._path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            log.warning("tokens-file-unusable", reason=reason, effect="the tokens that were read before stay valid")
        else:
            log.info("tokens-file-read", tokens=len(self._callers))


def _read(path: Path) -> list[tuple[bytes, Caller]]:
    """Return each token's hash and caller.

    Raises:
        OSError: the file can't be read.
        ValueError: the file is invalid. The error's text contains the number of the line, but nothing of its content.
    """
    callers = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = _LINE.fullmatch(line.strip())
        if entry is None:
            raise ValueError(f"line {number} is not name:sha256-hex[:scopes]")
        scopes = USUAL if entry["scopes"] is None else frozenset(entry["scopes"].replace(",", " ").split())
        if not scopes <= set(SCOPES):
            raise ValueError(f"line {number} has an unknown scope (known: {', '.join(SCOPES)})")
        callers.append((bytes.fromhex(entry["digest"]), Caller(entry["name"], scopes)))
    if not callers:
        raise ValueError("the file has no token")
    return callers
