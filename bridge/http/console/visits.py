"""Recognises the console's visitors by a cookie, and keeps their token in it.

The cookie is encrypted, and only /console accepts it. So the REST API never sees a cookie, and a page of another site
can't use the sign-in of a visitor.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request, Response

PATH: Final = "/console"
NAME: Final = "bridge-console"
LIFETIME: Final = 12 * 3600
"""Seconds after which a visitor must sign in again."""
LONGEST_COOKIE: Final = 4000
"""Limit for the characters of the cookie. Browsers drop a cookie of more than 4096 bytes, with name and attributes."""
MOST_BYTES: Final = 64 * 1024
"""Limit for a cookie's content after decompression."""
_PURPOSES: Final = ("visit", "search")


class TokenTooLong(ValueError):
    """The token does not fit into a cookie."""


class Visitor(msgspec.Struct, frozen=True):
    """The browser of a visitor, as its cookie describes it."""

    id: str
    """A random text, from which the CSRF token is made."""
    token: str | None = None
    """The bearer token, None before the sign-in."""


class _Search(msgspec.Struct, frozen=True):
    visitor: str
    terms: dict[str, str]


_VISITOR: Final = msgspec.json.Decoder(Visitor)
_SEARCH: Final = msgspec.json.Decoder(_Search)


@dataclass(frozen=True, slots=True)
class Opened:
    """The visitor of a request. `known` is False if the request had no valid cookie."""

    visitor: Visitor
    known: bool


class Visits:
    """Encrypts and decrypts cookies and search terms, with keys from `secret`, or random keys if it is None."""

    def __init__(self, secret: str | None) -> None:
        root = secrets.token_bytes(32) if secret is None else secret.encode()
        self._csrf_key = _key(root, "csrf")
        self._fernets = {name: Fernet(base64.urlsafe_b64encode(_key(root, name))) for name in _PURPOSES}

    def visitor(self, request: Request) -> Opened:
        """Return the visitor of a request. If the request has no valid cookie, make a new visitor."""
        content = self._open("visit", request.cookies.get(_name(request), ""))
        if content is not None:
            try:
                return Opened(_VISITOR.decode(content), known=True)
            except msgspec.DecodeError:
                pass
        return Opened(new_visitor(), known=False)

    def remember(self, response: Response, request: Request, visitor: Visitor) -> None:
        """Set the cookie of a visitor.

        Raises:
            TokenTooLong: the token does not fit into a cookie.
        """
        value = self._seal("visit", msgspec.json.encode(visitor))
        if len(value) > LONGEST_COOKIE:
            raise TokenTooLong
        response.set_cookie(value=value, max_age=LIFETIME, **_attributes(request))

    def forget(self, response: Response, request: Request) -> None:
        """Delete the cookie."""
        response.delete_cookie(**_attributes(request))

    def csrf(self, visitor: Visitor) -> str:
        """Return the token that each form of the visitor must send back."""
        return hmac.new(self._csrf_key, visitor.id.encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, visitor: Visitor, sent: str) -> bool:
        """Return whether a form has the visitor's CSRF token."""
        return hmac.compare_digest(self.csrf(visitor).encode(), sent.encode(errors="replace"))

    def hide(self, visitor: Visitor, terms: Mapping[str, str]) -> str:
        """Encrypt search terms for a URL, because browsers and proxies record URLs.

        Only this visitor can use the result.
        """
        return self._seal("search", msgspec.json.encode(_Search(visitor.id, {**terms})))

    def shown(self, visitor: Visitor, hidden: str) -> Mapping[str, str] | None:
        """Decrypt search terms. Return None if the terms are too old, or another visitor or secret encrypted them."""
        content = self._open("search", hidden)
        try:
            found = None if content is None else _SEARCH.decode(content)
        except msgspec.DecodeError:
            return None
        return None if found is None or found.visitor != visitor.id else found.terms

    def _seal(self, purpose: str, content: bytes) -> str:
        return self._fernets[purpose].encrypt(zlib.compress(content, 9)).decode()

    def _open(self, purpose: str, sealed: str) -> bytes | None:
        try:
            content = self._fernets[purpose].decrypt(sealed.encode(errors="replace"), ttl=LIFETIME)
            return zlib.decompressobj().decompress(content, MOST_BYTES)
        except (InvalidToken, zlib.error):
            return None


def new_visitor(token: str | None = None) -> Visitor:
    """Return a visitor with a new id, and therefore a new CSRF token."""
    return Visitor(secrets.token_urlsafe(18), token)


def _key(root: bytes, purpose: str) -> bytes:
    return hmac.new(root, f"cometd-kafka-bridge console {purpose}".encode(), hashlib.sha256).digest()


def _name(request: Request) -> str:
    """Return the cookie's name. Cookies ignore ports, so bridges on one host need different names."""
    return NAME if request.url.port is None else f"{NAME}-{request.url.port}"


def _attributes(request: Request) -> dict[str, Any]:
    return {
        "key": _name(request),
        "path": PATH,
        "httponly": True,
        "samesite": "strict",
        "secure": _is_encrypted(request),
    }


def _is_encrypted(request: Request) -> bool:
    """Return whether the browser uses TLS.

    The bridge serves plain HTTP, so it reads this from a proxy's header or from the form's origin.
    """
    forwarded = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip().lower()
    origin = request.headers.get("Origin", "")
    return "https" in {request.url.scheme, forwarded} or origin.startswith("https://")
