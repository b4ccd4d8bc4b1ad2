"""Generated requests against the whole REST side: whatever comes, the answers keep to /openapi.json."""

import asyncio
import hashlib
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from bridge.cometd.http.session import HttpSession
from bridge.http import Missing, SessionView, authentication_of, create_app, serve
from bridge.http.openapi_file import document
from bridge.http.reading import prefer
from bridge.http.reading.outbound_request import BARE_KEY
from bridge.operations import LEDGER_TOPIC, OUTBOUND_OPERATIONS, Limits, OperationRecords, OperationsService
from bridge.settings import Authentication
from bridge.simulator import Simulator
from bridge.webservices import Login, WebServicesClient
from tests.memory_kafka import MemoryKafka, MemoryLedger

EXAMPLES = 40
"""Of each operation; a run takes some seconds."""
TOKEN = {"Authorization": "Bearer fuzz"}


class ServerThread(threading.Thread):
    """The REST side before the stand-in, with everything on, in an event loop of its own: the generator blocks."""

    def __init__(self, tokens_file: Path) -> None:
        super().__init__(name="fuzzed-server", daemon=True)
        self.url = ""
        self.up = threading.Event()
        self.missing: list[Missing] = []
        self._authentication = authentication_of(Authentication(method="tokens", tokens_file=tokens_file))
        self._loop = asyncio.new_event_loop()
        self._serving: asyncio.Task[None] | None = None

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    def stop(self) -> None:
        if self._serving is not None:
            self._loop.call_soon_threadsafe(self._serving.cancel)
        self.join(10)

    async def _main(self) -> None:
        async with Simulator() as simulator, HttpSession(simulator.url, request_timeout=5) as http:
            login = Login(
                http, account="agent", username="agent", password="secret", request_timeout=5, retry_interval=60
            )
            client = WebServicesClient(http, login, account="agent", request_timeout=5)
            session = SessionView(
                account="agent", session="0" * 16, state="connected", ack_extension=True, guarantee="exactly-once"
            )
            ledger = MemoryLedger(MemoryKafka(), LEDGER_TOPIC)
            service = OperationsService(Limits(), {"agent": client}, ledger, OperationRecords())
            app = create_app(
                service,
                readiness=lambda: self.missing,
                session_views=lambda: [session],
                authentication=self._authentication,
                enabled=[name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded],
            )
            running = asyncio.create_task(service.run())
            self._serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=self._ready))
            await asyncio.wait([self._serving, running], return_when=asyncio.FIRST_COMPLETED)
            running.cancel()
            await asyncio.wait([running])

    def _ready(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.up.set()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    tokens_file = tmp_path_factory.mktemp("fuzz") / "tokens"
    tokens_file.write_text(f"fuzz:{hashlib.sha256(b'fuzz').hexdigest()}\n")
    server = ServerThread(tokens_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefer, "LONGEST_WAIT", 0)  # no relay here, so nothing to wait for
        server.start()
        assert server.up.wait(10)
        yield server
        server.stop()


schema = schemathesis.openapi.from_dict(document())


def once_only(case: schemathesis.Case[Any]) -> None:
    """Make a valid reference one that was not there before: that the same one is refused or repeated is no fault."""
    headers: Any = case.headers or {}
    body: Any = case.body if isinstance(case.body, dict) else {}
    key, reference = headers.get("Idempotency-Key"), body.get("referenceId")
    has_reference = isinstance(reference, str) and 0 < len(reference) <= 255
    if isinstance(key, str) and re.fullmatch(BARE_KEY, key):
        headers["Idempotency-Key"] = uuid.uuid4().hex
        if has_reference:
            del body["referenceId"]
    elif has_reference:
        body["referenceId"] = reference[:200] + uuid.uuid4().hex


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_keep_to_the_document(case: schemathesis.Case[Any], server: ServerThread) -> None:
    """Every generated request, valid or not, gets an answer that the document has, and never a fault of the bridge."""
    once_only(case)
    case.call_and_validate(base_url=server.url, headers=TOKEN)


def test_not_ready_is_documented(server: ServerThread) -> None:
    """The answer of a bridge that is not ready keeps to the document as well."""
    server.missing.append(Missing(name="kafka", reason="not reachable"))
    case = schema["/health/ready"]["GET"].Case()
    assert (
        case.call_and_validate(
            base_url=server.url, excluded_checks=[schemathesis.checks.not_a_server_error]
        ).status_code
        == 503
    )
    server.missing.clear()
