"""Logins of the stand-in: Basic credentials, JSESSIONID, and the CSRF token that lives as long as it."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

COOKIE = "JSESSIONID"
CSRF_HEADER = "X-CSRF-TOKEN"
_ADVERTISED_NAME = "X-CSRF-HEADER"
_ADVERTISED_TOKEN = "X-CSRF-TOKEN"  # noqa: S105  a header's name


@dataclass
class Login:
    """One HTTP session of a user."""

    user: str
    identifier: str = field(default_factory=lambda: f"node0{secrets.token_hex(14)}.node0")
    token: str = field(default_factory=lambda: secrets.token_hex(16))


class Logins:
    """Who is logged in. Basic credentials open an HTTP session; afterwards its cookie is enough."""

    def __init__(self, passwords: Mapping[str, str], *, csrf: bool) -> None:
        self._passwords = dict(passwords)
        self._csrf = csrf
        self._logins: dict[str, Login] = {}

    def of(self, request: web.Request) -> Login | None:
        """Find or open the login of a request; None is what Web Services calls anonymous."""
        known = self._logins.get(request.cookies.get(COOKIE, ""))
        user = self._basic_user(request.headers.get("Authorization", ""))
        if known is not None and user in (None, known.user):
            return known
        if user is None:
            return None
        login = Login(user)
        self._logins[login.identifier] = login
        return login

    def csrf_holds(self, request: web.Request, login: Login) -> bool:
        """Tell whether a changing request carries the token of its HTTP session (always, with the protection off)."""
        return not self._csrf or request.headers.get(CSRF_HEADER) == login.token

    def mark(self, request: web.Request, response: web.Response, login: Login) -> web.Response:
        """Set the cookie of a new HTTP session; advertise the CSRF header and token on a GET; return the response."""
        if login.identifier not in self._logins:  # ended by the request itself
            return response
        if request.cookies.get(COOKIE) != login.identifier:
            response.set_cookie(COOKIE, login.identifier, path="/", httponly=True)
        if self._csrf and request.method == "GET":
            response.headers[_ADVERTISED_NAME] = CSRF_HEADER
            response.headers[_ADVERTISED_TOKEN] = login.token
        return response

    def renew_token(self, login: Login) -> None:
        """Make the token that the client knows worthless."""
        login.token = secrets.token_hex(16)

    def end(self, login: Login) -> None:
        """Invalidate one HTTP session, and with it its CSRF token."""
        self._logins.pop(login.identifier, None)

    def end_all(self) -> int:
        """Invalidate every HTTP session; return how many there were."""
        ended = len(self._logins)
        self._logins.clear()
        return ended

    def _basic_user(self, header: str) -> str | None:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        expected = self._passwords.get(name)
        return name if expected is not None and secrets.compare_digest(expected.encode(), password.encode()) else None
