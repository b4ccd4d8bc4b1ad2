"""The document of a bridge that has everything on: every operation, and authentication. `make openapi` writes it."""

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
    """Return /openapi.json; one bridge's own has only what its settings enable."""
    enabled = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]
    nothing = cast("Operations", None)  # the document alone is wanted: no route is called
    app = create_app(nothing, readiness=list, session_views=list, authentication=_Bearer(), enabled=enabled)
    return app.openapi()


def as_text() -> str:
    """Return the document as the repository keeps it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


class _Bearer:
    """Either kind of token; lets nobody in."""

    scheme: Mapping[str, Any] | None = {
        "type": "http",
        "scheme": "bearer",
        "description": "A token from the operator, or an access token of the site's identity provider, with the scope "
        "operations:write or operations:read. Only where the settings ask for it.",
    }

    async def caller(self, token: str) -> Caller:
        del token
        raise InvalidToken


if __name__ == "__main__":
    sys.stdout.write(as_text())
