"""The REST side on loopback before operations in memory, for the tests of its parts."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from bridge.http import create_app
from tests.unit.operations_in_memory import InMemoryOperations
from tests.unit.served import served

RECORDS = "/api/v2/me/outbound-records"
RECORD = f"{RECORDS}/13"
BODY: dict[str, Any] = {
    "operationName": "DoNotCallRecord",
    "applicationId": 134,
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "devicePath": "/devices/f32a46c4",
    "referenceId": "r1",
}
BARE = {name: value for name, value in BODY.items() if name != "referenceId"}


@dataclass
class Answer:
    """A status, the headers, and the body, decoded where it is JSON."""

    status: int
    headers: Any
    body: Any


@dataclass
class Api:
    """A running REST side and a caller."""

    url: str
    client: aiohttp.ClientSession
    operations: InMemoryOperations

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        async with self.client.request(method, f"{self.url}{path}", **options) as reply:
            body = await reply.read()
            return Answer(reply.status, reply.headers, json.loads(body) if "json" in reply.content_type else body)

    async def post(self, body: object = BODY, path: str = RECORD, **headers: str) -> Answer:
        """POST an operation; `Idempotency_Key` is the header Idempotency-Key."""
        return await self.call(
            "POST", path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, headers=headers)


@contextlib.asynccontextmanager
async def rest_side(**options: Any) -> AsyncIterator[Api]:
    """Serve; `options` go to `create_app`."""
    operations = InMemoryOperations()
    app = create_app(operations, **({"readiness": list, "session_views": list} | options))
    async with served(app) as url, aiohttp.ClientSession() as client:
        yield Api(url, client, operations)
