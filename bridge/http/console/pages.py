"""Serves pages: recognises the visitor, checks scopes and forms, shows errors as pages, and sets security headers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse

from bridge.errors import BridgeError
from bridge.http.auth.authentication import ANYBODY, READ, SCOPES, WRITE, InvalidToken
from bridge.http.console.rendering import render
from bridge.http.console.visits import PATH, Visits
from bridge.http.problems.problems import Refused, bridge_problem, problem, validation_problem
from bridge.http.reading.body import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bridge.http.auth.authentication import Caller, Scope
    from bridge.http.console.sources import Sources
    from bridge.http.console.visits import Visitor

SIGN_IN: Final = f"{PATH}/sign-in"
CSRF: Final = "csrf"
"""The name of the form field with the CSRF token."""
FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 100
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    # Not no-referrer: browsers would then send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "HX-Request, Cookie",
}
_NAVIGATION: Final[tuple[tuple[str, str, Scope], ...]] = (
    ("Overview", PATH, READ),
    ("Operations", f"{PATH}/operations", READ),
    ("Submit", f"{PATH}/submit", WRITE),
    ("Gaps and dead letters", f"{PATH}/incidents", READ),
    ("Sessions and fleet", f"{PATH}/sessions", READ),
)


class _SignInNeeded(Exception):
    """The visitor has no token, or the token is no longer valid."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor's request for a page."""

    request: Request
    caller: Caller
    visitor: Visitor
    form: Mapping[str, str]
    """The fields of the form that the visitor sent. Empty for a GET request."""

    @property
    def live(self) -> bool:
        """Whether the page refreshes itself by this request. Then the response has only the part that changes."""
        return self.request.headers.get("HX-Request") == "true"

    def may(self, scope: Scope) -> bool:
        """Return whether the visitor has the scope."""
        return scope in self.caller.scopes


class Pages:
    """The router of the console, to which each subject adds its pages."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.visits = Visits(sources.own.secret)
        self.router = APIRouter(prefix=PATH, include_in_schema=False)

    def add(self, method: str, path: str, page: Callable[[Visit], Awaitable[Response]], *scopes: Scope) -> None:
        """Serve `page` for visitors with all of the scopes. Without scopes, serve it for everybody."""

        async def endpoint(request: Request) -> Response:
            opened = self.visits.visitor(request)
            if not opened.known and _comes_from_elsewhere(request):
                return self._again_from_here(request)
            try:
                response = await self._answer(request, opened.visitor, page, scopes)
            except _SignInNeeded:
                response = _to_sign_in(request)
            if not opened.known and "set-cookie" not in response.headers:
                self.visits.remember(response, request, opened.visitor)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        self.router.add_api_route(path, endpoint, methods=[method])

    def render(
        self, visit: Visit, template: str, status: int = 200, *, interval: int | None = None, **context: Any
    ) -> Response:
        """Make the response with a page. For a refresh it has only the part of the page that changes.

        `interval` is the time between two refreshes in seconds, None for a page that does not change.
        """
        return HTMLResponse(
            render(
                template,
                live=visit.live,
                interval=interval,
                caller=visit.caller.name,
                csrf=self.visits.csrf(visit.visitor),
                here=visit.request.url.path,
                address=_address(visit.request),
                navigation=[(label, path) for label, path, scope in _NAVIGATION if visit.may(scope)],
                authenticated=self.sources.authentication.scheme is not None,
                signed_in=visit.visitor.token is not None,
                replica=self.sources.own.replica if self.sources.own.in_fleet else None,
                **context,
            ),
            status,
        )

    async def caller(self, token: str | None) -> Caller | None:
        """Return the caller with this token, or None if the token is not valid.

        Raises:
            Refused: (503) the token can't be checked now.
        """
        if self.sources.authentication.scheme is None:
            return ANYBODY
        if token is None:
            return None
        try:
            return await self.sources.authentication.caller(token)
        except InvalidToken:
            return None

    async def _answer(
        self, request: Request, visitor: Visitor, page: Callable[[Visit], Awaitable[Response]], scopes: Sequence[Scope]
    ) -> Response:
        caller = NOBODY
        try:
            if scopes:
                caller = await self._signed_in(visitor)
                _check_scopes(caller, scopes)
            peer = "" if request.client is None else request.client.host
            with request.app.state.shares.place(peer if caller.name is None else caller.name):
                form = await self._form(request, visitor) if request.method == "POST" else {}
                return await page(Visit(request, caller, visitor, form))
        except (BridgeError, Refused, RequestValidationError) as error:
            told = told_problem(error)
            visit = Visit(request, caller, visitor, {})
            return self.render(visit, "error.html", told["status"], problem=told)

    def _again_from_here(self, request: Request) -> Response:
        """Make the browser send the request again, now from a page of the console.

        After a click on a link of another site, browsers do not send a cookie that is `SameSite=Strict`.
        """
        page = render("again_from_here.html", live=False, interval=None, address=_address(request))
        return HTMLResponse(page, headers=HEADERS)

    async def _signed_in(self, visitor: Visitor) -> Caller:
        caller = await self.caller(visitor.token)
        if caller is None:
            raise _SignInNeeded
        return caller

    async def _form(self, request: Request, visitor: Visitor) -> Mapping[str, str]:
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM:
            raise Refused(415, "unsupported-media-type", f"The body must be {FORM}.")
        try:
            pairs = parse_qsl(
                (await read_body(request)).decode(errors="replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS
            )
        except ValueError:
            raise Refused(400, "malformed-request", "The form has too many fields.") from None
        form = dict(pairs)
        if not self.visits.is_csrf(visitor, form.pop(CSRF, "")):
            raise Refused(
                403, "foreign-origin", "This form has expired, or comes from another site. Load the page again."
            )
        return form


NOBODY: Final = type(ANYBODY)(None, frozenset())
"""A visitor who has not signed in."""


def _check_scopes(caller: Caller, scopes: Sequence[Scope]) -> None:
    for scope in scopes:
        if scope not in caller.scopes:
            raise Refused(403, "insufficient-scope", f"Your token lacks the scope {scope}, needed to {SCOPES[scope]}.")


def told_problem(error: BridgeError | Refused | RequestValidationError) -> dict[str, Any]:
    """Return the problem that the REST API would answer with."""
    if isinstance(error, BridgeError):
        response = bridge_problem(error, None)
    elif isinstance(error, Refused):
        response = problem(error.status, error.code, str(error), **error.members)
    else:
        response = validation_problem(error.errors(), None)
    told: dict[str, Any] = json.loads(bytes(response.body))
    return told


def not_found() -> Refused:
    """Return the refusal of an unknown path."""
    return Refused(404, "not-found", HTTPStatus.NOT_FOUND.phrase)


def see_other(path: str) -> Response:
    """Send the browser to another page after it has sent a form."""
    return RedirectResponse(path, 303)


def operation_path(reference: str) -> str:
    """Return the path of an operation's page."""
    return f"{PATH}/operations/{quote(reference, safe='')}"


def _comes_from_elsewhere(request: Request) -> bool:
    return request.method == "GET" and request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}


def _address(request: Request) -> str:
    """Return the page's path and query, which the browser requests for a refresh."""
    return (
        f"{request.scope.get('raw_path', b'').decode('latin-1')}{f'?{request.url.query}' if request.url.query else ''}"
    )


def _to_sign_in(request: Request) -> Response:
    """Send the browser to the sign-in page. From there it returns to the page that the visitor wanted."""
    wanted = _address(request) if request.method == "GET" else PATH
    path = f"{SIGN_IN}?{urlencode({'next': wanted})}"
    if request.headers.get("HX-Request") == "true":
        return Response(None, 401, {"HX-Redirect": path})
    return see_other(path)
