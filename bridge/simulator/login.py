"""Logins of the simulator: Basic credentials, the cookie JSESSIONID, and each HTTP session's CSRF token."""

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
    """An HTTP session of a user."""

    user: str
    identifier: str = field(default_factory=lambda: f"node0{secrets.token_hex(14)}.node0")
    token: str = field(default_factory=lambda: secrets.token_hex(16))


class Logins:
    """All HTTP sessions. Basic credentials open a session. Later requests need only the session's cookie."""

    def __init__(self, passwords: Mapping[str, str], *, csrf: bool) -> None:
        self._passwords = dict(passwords)
        self._csrf = csrf
        self._logins: dict[str, Login] = {}

    def of(self, request: web.Request) -> Login | None:
        """Return the login of a request, or open a new one. None means an anonymous request."""
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
        """Return whether a request has the CSRF token of its HTTP session. Always true if CSRF protection is off."""
        return not self._csrf or request.headers.get(CSRF_HEADER) == login.token

    def mark(self, request: web.Request, response: web.Response, login: Login) -> web.Response:
        """Add the cookie of a new HTTP session and, for a GET, the CSRF headers to a response. Return the response."""
        if login.identifier not in self._logins:  # the request has ended its own HTTP session
            return response
        if request.cookies.get(COOKIE) != login.identifier:
            response.set_cookie(COOKIE, login.identifier, path="/", httponly=True)
        if self._csrf and request.method == "GET":
            response.headers[_ADVERTISED_NAME] = CSRF_HEADER
            response.headers[_ADVERTISED_TOKEN] = login.token
        return response

    def renew_token(self, login: Login) -> None:
        """Replace the CSRF token, so that the client's token becomes invalid."""
        login.token = secrets.token_hex(16)

    def change_password(self, user: str, password: str) -> None:
        """Accept only this password in the user's later logins. HTTP sessions that are open stay open."""
        self._passwords[user] = password

    def end(self, login: Login) -> None:
        """End an HTTP session and its CSRF token."""
        self._logins.pop(login.identifier, None)

    def end_all(self) -> int:
        """End every HTTP session. Return their number."""
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
