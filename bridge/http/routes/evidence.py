"""GET /operations/{referenceId}/evidence: what Kafka knows about an operation, as a signed file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from fastapi import APIRouter, Response

from bridge.errors import NoSuchEvidence
from bridge.http.auth.authentication import READ
from bridge.http.auth.route_guard import guarded
from bridge.http.problems.problems import documented
from bridge.http.routes.operations import ReferenceId  # noqa: TC001 -- FastAPI reads the annotation

if TYPE_CHECKING:
    from bridge.http.auth.authentication import Authentication

MakeEvidence: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Returns the file with the evidence of an operation. `bridge.evidence.EvidenceMaker.file` documents the errors."""


async def no_evidence(_: str) -> bytes:
    """Find no evidence. The default of an application without Kafka."""
    raise NoSuchEvidence("No record about this reference was found.")


def evidence(make: MakeEvidence, authentication: Authentication) -> APIRouter:
    """Make the router for callers with the scope operations:read.

    This router must be added before the router of operations.
    """
    guard = guarded(authentication, READ)
    router = APIRouter(prefix="/operations", tags=["Operations"], dependencies=guard.dependencies)

    @router.get(
        "/{referenceId:path}/evidence",  # noqa: FAST003 -- by its alias
        operation_id="getEvidence",
        summary="Get the evidence of one operation",
        response_class=Response,
        responses=documented(
            "no-evidence",
            "invalid-request",
            "too-much-evidence",
            "busy",
            "timestamp-refused",
            "kafka-unavailable",
            *guard.problems,
        )
        | {
            200: {
                "description": "The file that `bridge evidence export` writes. `bridge evidence verify` checks it.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def one(reference_id: ReferenceId) -> Response:
        """Read the operation's events, acknowledgement, user events and gaps from Kafka, and sign them.

        The file contains the records as Kafka has them, including phone numbers. If the topics have many records, the
        request takes some seconds.
        """
        return Response(
            await make(reference_id),
            media_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="evidence.json"', "Cache-Control": "no-store"},
        )

    return router
