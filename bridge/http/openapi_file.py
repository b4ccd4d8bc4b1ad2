"""Writes docs/openapi.json, for a bridge with every operation and authentication enabled. `make openapi` runs it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, cast

from bridge.http.app import create_app
from bridge.http.auth.authentication import InvalidToken
from bridge.operations import OUTBOUND_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.http.auth.authentication import Caller
    from bridge.http.routes.operations import Operations


def document() -> dict[str, Any]:
    """Return the OpenAPI document with all parts, also the parts that the settings of a bridge may switch off."""
    enabled = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]
    nothing = cast("Operations", None)  # no route is called
    app = create_app(nothing, readiness=list, session_views=list, authentication=_Bearer(), enabled=enabled)
    return app.openapi()


def as_text() -> str:
    """Return the content of docs/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


class _Bearer:
    """Describes both kinds of tokens, for the document."""

    scheme: Mapping[str, Any] | None = {
        "type": "http",
        "scheme": "bearer",
        "description": "A token from the operator, or an access token of the site's identity provider, with the scope "
        "operations:write or operations:read. The bridge's settings say which kind. They may also allow access without "
        "a token.",
    }

    async def caller(self, token: str) -> Caller:
        del token
        raise InvalidToken


if __name__ == "__main__":
    sys.stdout.write(as_text())
