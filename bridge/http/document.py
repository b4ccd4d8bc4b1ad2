"""The document of a bridge that has everything on: every operation, and authentication. `make openapi` writes it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from bridge.http.app import create_app
from bridge.http.auth.authentication import InvalidToken
from bridge.operations import OUTBOUND_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.http.auth.authentication import Caller
    from bridge.http.routes.replies import OperationStatus
    from bridge.operations import OperationView, Page, Submission


def document() -> dict[str, Any]:
    """Return /openapi.json; one bridge's own has only what its settings enable."""
    enabled = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]
    app = create_app(_Nothing(), readiness=list, session_views=list, authentication=_Bearer(), enabled=enabled)
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


class _Nothing:
    """Operations for the document alone: nothing is served."""

    async def submit(self, submission: Submission) -> OperationView:
        self._refuse(submission)

    async def submit_async(self, submission: Submission) -> OperationView:
        self._refuse(submission)

    async def wait(self, reference_id: str, seconds: float) -> OperationView:
        self._refuse(reference_id, seconds)

    def get(self, reference_id: str) -> OperationView:
        self._refuse(reference_id)

    def list(self, status: OperationStatus | None = None, limit: int = 100, after: str | None = None) -> Page:
        self._refuse(status, limit, after)

    def _refuse(self, *_: object) -> NoReturn:
        raise NotImplementedError


if __name__ == "__main__":
    sys.stdout.write(as_text())
