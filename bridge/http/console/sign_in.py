"""Sign-in and sign-out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import structlog

from bridge.http.console.pages import SIGN_IN, see_other
from bridge.http.console.visits import PATH, TokenTooLong, new_visitor

if TYPE_CHECKING:
    from fastapi import Response

    from bridge.http.console.pages import Pages, Visit

_OWN_PATH: Final = re.compile(rf"{PATH}([/?][^\\\x00-\x20]*)?")
log = structlog.get_logger(__name__)


def add_sign_in(pages: Pages) -> None:
    """Add the pages."""

    def asked(visit: Visit, fault: str | None = None, status: int = 200) -> Response:
        wanted = visit.form.get("next", visit.request.query_params.get("next", PATH))
        return pages.render(visit, "sign_in.html", status, fault=fault, wanted=_own(wanted))

    async def ask(visit: Visit) -> Response:
        return asked(visit) if pages.sources.authentication.scheme is not None else see_other(PATH)

    async def sign_in(visit: Visit) -> Response:
        token = visit.form.get("token", "").strip()
        caller = await pages.caller(token)
        if caller is None:
            return asked(visit, "The token is invalid or has expired.", 401)
        response = see_other(_own(visit.form.get("next", PATH)))
        try:
            pages.visits.remember(response, visit.request, new_visitor(token))
        except TokenTooLong:
            return asked(visit, "The token is too long for a cookie. Ask for one with fewer claims.", 422)
        log.info("console-signed-in", caller=caller.name)
        return response

    async def sign_out(visit: Visit) -> Response:
        response = see_other(SIGN_IN)
        pages.visits.forget(response, visit.request)
        return response

    pages.add("GET", "/sign-in", ask)
    pages.add("POST", "/sign-in", sign_in)
    pages.add("POST", "/sign-out", sign_out)


def _own(path: str) -> str:
    """Return a path of the console. Any other text becomes the overview, so that no link leads to another site."""
    return path if _OWN_PATH.fullmatch(path) else PATH
