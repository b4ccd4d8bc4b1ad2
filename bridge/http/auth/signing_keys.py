"""Fetches the public keys of the identity provider (RFC 7517), which verify the callers' tokens.

PyJWT's own client for such keys does not use asyncio, so it would block the event loop.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import aiohttp
import jwt
import structlog

from bridge.http.problems.problems import Refused
from bridge.http.problems.types import NO_SIGNING_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jwt.algorithms import AllowedPublicKeys

FRESH: Final = 300.0
"""Seconds after which keys are fetched again."""
STALE: Final = 3600.0
"""Seconds after which old keys are no longer used, even if no fetch succeeds, because the provider may have revoked a
key."""
SOONEST: Final = 10.0
"""Minimum seconds between two fetches, so that callers can't flood the identity provider through the bridge."""
DEADLINE: Final = 5.0
"""Maximum seconds for one fetch."""
LARGEST: Final = 256 * 1024
"""Maximum size of a key document in bytes."""
DEEPEST: Final = 8
"""Maximum levels of nesting. RFC 7517 needs three levels. Deeper values are read as null."""
LONGEST_INTEGER: Final = 20
"""Maximum digits of an integer. In a key document the large numbers are strings (RFC 7518, section 6)."""
_KINDS: Final = ("RSA", "EC", "OKP")
_NESTING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{\]}]', re.DOTALL)
Key: TypeAlias = "jwt.PyJWK | AllowedPublicKeys"
"""A key for one algorithm, or for all algorithms of its type if the provider names no algorithm."""
log = structlog.get_logger(__name__)


class SigningKeys:
    """The provider's keys by their id (`kid`), with a cache. `clock` returns monotonic seconds."""

    def __init__(self, url: str, *, cafile: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._ssl = ssl.create_default_context(cafile=cafile) if cafile is not None else True
        self._clock = clock
        self._keys: Mapping[str | None, Key] = {}
        self._fetched = self._tried = float("-inf")
        self._turn = asyncio.Lock()

    async def get(self, kid: str | None) -> Key | None:
        """Return the key with that id, None if the provider has no such key. Without an id, return the only key.

        Raises:
            Refused: (503) the keys can't be fetched.
        """
        if self._due(kid) and not (self._turn.locked() and kid in self._keys and self._age() <= STALE):
            async with self._turn:
                if self._due(kid):  # another request may have fetched the keys while this one waited
                    await self._renew()
        if self._age() > STALE:
            retry = {"Retry-After": str(round(SOONEST))}
            raise Refused(503, "signing-keys-unavailable", NO_SIGNING_KEYS, headers=retry)
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _age(self) -> float:
        return self._clock() - self._fetched

    def _due(self, kid: str | None) -> bool:
        if self._clock() - self._tried < SOONEST:
            return False
        unknown = kid is not None and kid not in self._keys
        return unknown or self._age() > FRESH

    async def _renew(self) -> None:
        try:
            self._keys = _keys(await self._fetch())
        except (aiohttp.ClientError, TimeoutError, ValueError, jwt.PyJWTError) as error:
            log.warning("signing-keys-not-fetched", reason=type(error).__name__)
        else:
            self._fetched = self._clock()
        finally:
            self._tried = self._clock()

    async def _fetch(self) -> Any:
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                raise_for_status=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a few compressed bytes could fill the memory
                headers={"Accept-Encoding": "identity"},
            ) as client,
            client.get(self._url, ssl=self._ssl, allow_redirects=False) as reply,
        ):
            body = await reply.content.read(LARGEST + 1)
            while len(body) <= LARGEST and (more := await reply.content.read(LARGEST + 1)):
                body += more
            if len(body) > LARGEST:
                raise ValueError("too large")
            return json.loads(_shallow(body.decode("utf-8-sig", errors="replace")), parse_int=_integer)


def _integer(digits: str) -> int | None:
    """Parse an integer. If the integer is too long, return None, because an error would discard the whole document."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else None


def _shallow(text: str) -> str:
    """Replace values nested deeper than `DEEPEST` by null, because Python's JSON parser fails on deep nesting."""
    parts: list[str] = []
    depth = kept = 0
    for token in _NESTING.finditer(text):
        if token[0] in {"[", "{"}:
            depth += 1
            if depth == DEEPEST + 1:
                parts += (text[kept : token.start()], "null")
        elif token[0] in {"]", "}"}:
            depth -= 1
            if depth == DEEPEST:
                kept = token.end()
    return "".join((*parts, text[kept:] if depth <= DEEPEST else ""))


def _keys(document: Any) -> dict[str | None, Key]:
    """Return the keys that verify signatures. Keys of an unknown type are skipped.

    Raises:
        ValueError: the document is not a key document, or has no usable key.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    keys: dict[str | None, Key] = {}
    unusable = 0
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("kty") in _KINDS and entry.get("use", "sig") == "sig":
            kid = entry.get("kid")
            try:
                key = jwt.PyJWK(entry)
            except Exception:  # noqa: BLE001 -- a broken key, with any error, must not prevent the use of the others
                unusable += 1
            else:
                keys[kid if isinstance(kid, str) else None] = key if entry.get("alg") else key.key
    if unusable:
        log.info("signing-keys-unusable", count=unusable)
    if not keys:
        raise ValueError("no key")
    return keys
