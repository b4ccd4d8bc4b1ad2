"""What the ingress promises, over whatever Web Services stands behind it; and the bridge's half of that path."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import pytest
import pytest_asyncio

from bridge.cometd import HttpSession, Options
from bridge.http import create_app
from bridge.operations import LEDGER_TOPIC, Limits, OperationRecords, OperationsService
from bridge.relay import Relay
from bridge.webservices import Login, LoginState, WebServicesClient
from tests.memory_kafka import MemoryKafka, MemoryLedger, MemoryPublisher
from tests.page import REQUEST
from tests.unit.served import served
from tests.waiting import eventually

RECORDS = "/api/v2/me/outbound-records"
BY_NUMBER = {name: value for name, value in REQUEST.items() if name != "callingList"}
CHANNELS = ("/v2/me/*", "/me/internal")


class Upstream(Protocol):
    """A Web Services server that a test can steer. Its account is agent with the password secret."""

    @property
    def url(self) -> str:
        """Its base URL."""
        ...

    async def posted(self) -> list[tuple[str, dict[str, Any]]]:
        """Path and body of each POST to the REST interface that it accepted or refused by an operation fault."""
        ...

    async def fault(self, line: str) -> None:
        """Switch a fault of the operations or of the wire on, such as `status-4:rest:1` or `reset:rest:1`."""
        ...

    async def drop_logins(self) -> None:
        """Forget every login."""
        ...

    async def stop(self) -> None:
        """Stop listening."""
        ...


@dataclass
class Ingress:
    """The REST side on loopback, before a real login, client, relay and service; Kafka is in memory."""

    url: str
    caller: aiohttp.ClientSession
    login: Login
    relay: Relay
    kafka: MemoryKafka

    async def post(self, body: object, path: str = f"{RECORDS}/13", *, prefer: str | None = None) -> tuple[int, Any]:
        headers = {} if prefer is None else {"Prefer": prefer}
        async with self.caller.post(f"{self.url}{path}", json=body, headers=headers) as reply:
            return reply.status, await reply.json(content_type=None)

    async def get(self, reference_id: str) -> Any:
        async with self.caller.get(f"{self.url}/operations/{reference_id}") as reply:
            return await reply.json(content_type=None)

    async def relaying(self) -> None:
        """Return once the CometD session is there with its subscriptions."""

        def there() -> bool:
            session = self.relay.session
            return session is not None and session.status.connected and session.status.confirmed >= set(CHANNELS)

        await eventually(there)

    def statuses(self, reference_id: str) -> list[str]:
        """The statuses that the ledger on Kafka tells of an operation, in their order."""
        values = [json.loads(record.value) for record in self.kafka.records if record.topic == LEDGER_TOPIC]
        return [value["status"] for value in values if value["referenceId"] == reference_id]


@contextlib.asynccontextmanager
async def ingress_to(
    url: str, *, password: str = "secret", request_timeout: float = 10, **limits: float
) -> AsyncIterator[Ingress]:
    kafka = MemoryKafka()
    async with HttpSession(url, request_timeout=request_timeout) as http, aiohttp.ClientSession() as caller:
        login = Login(
            http,
            account="agent",
            username="agent",
            password=password,
            request_timeout=request_timeout,
            retry_interval=60,
        )
        client = WebServicesClient(http, login, account="agent", request_timeout=request_timeout)
        ledger = MemoryLedger(kafka, LEDGER_TOPIC)
        service = OperationsService(Limits(**limits), {"agent": client}, ledger, OperationRecords())  # type: ignore[arg-type]
        options = Options(
            account="agent",
            path="/api/v2/notifications",
            channels=CHANNELS,
            max_interval=10,
            request_timeout=request_timeout,
        )
        relay = Relay(options, http, login, MemoryPublisher(kafka, "agent"))
        relay.correlator = service.correlator("agent")
        running = [asyncio.create_task(part.run()) for part in (service, relay)]
        try:
            async with served(create_app(service, readiness=list, session_views=list)) as api:
                yield Ingress(api, caller, login, relay, kafka)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)


def sample(**changes: Any) -> dict[str, Any]:
    """The page's sample under a reference of its own: the same one would be the same operation."""
    return REQUEST | {"referenceId": uuid.uuid4().hex} | changes


class IngressBehaviour:
    """Inherited for each kind of upstream, which overrides the fixture `upstream`."""

    @pytest_asyncio.fixture
    async def ingress(self, upstream: Upstream) -> AsyncIterator[Ingress]:
        async with ingress_to(upstream.url) as ingress:
            yield ingress

    @pytest_asyncio.fixture
    async def relaying(self, ingress: Ingress) -> Ingress:
        """An ingress whose acknowledgements come."""
        await ingress.relaying()
        return ingress

    # Accepted

    async def test_sample_of_the_page_is_accepted(self, upstream: Upstream, ingress: Ingress) -> None:
        """The page's own sample gets statusCode 0, and reaches Web Services under its path and unchanged."""
        assert await ingress.post(REQUEST) == (200, {"statusCode": 0, "referenceId": "123456789"})
        assert await upstream.posted() == [(f"{RECORDS}/13", REQUEST)]

    async def test_form_by_number_is_accepted(self, upstream: Upstream, ingress: Ingress) -> None:
        """The form by phone number goes to the path without a handle."""
        assert (await ingress.post(BY_NUMBER, RECORDS))[0] == 200
        assert await upstream.posted() == [(RECORDS, BY_NUMBER)]

    async def test_made_reference_reaches_upstream(self, upstream: Upstream, ingress: Ingress) -> None:
        """A referenceId that the bridge made is the one that Web Services gets."""
        sent = {name: value for name, value in REQUEST.items() if name != "referenceId"}
        _, answer = await ingress.post(sent)
        [(_, body)] = await upstream.posted()
        assert body == sent | {"referenceId": answer["referenceId"]}

    async def test_unknown_fields_reach_upstream(self, upstream: Upstream, ingress: Ingress) -> None:
        """Fields that the documentation does not know are forwarded as they came."""
        sent = REQUEST | {"otherFields": {"tier": "gold", "limits": [1, 2.5, None, True], "name": "Zoë"}}
        assert (await ingress.post(sent))[0] == 200
        assert await upstream.posted() == [(f"{RECORDS}/13", sent)]

    async def test_invalid_request_stays_here(self, upstream: Upstream, ingress: Ingress) -> None:
        """Nothing that fails validation reaches Web Services."""
        assert (await ingress.post(REQUEST | {"applicationId": "134"}))[0] == 422
        assert await upstream.posted() == []

    async def test_same_request_is_forwarded_once(self, upstream: Upstream, ingress: Ingress) -> None:
        """The same request again gets the same answer and is not forwarded; another under its reference is a 422."""
        answers = await asyncio.gather(*(ingress.post(REQUEST) for _ in range(5)))
        assert {json.dumps(answer) for answer in answers} == {json.dumps(answers[0])}
        assert answers[0][0] == 200
        status, answer = await ingress.post(REQUEST | {"chainAttribute": "RecordOnly"})
        assert (status, answer["code"]) == (422, "reference-conflict")
        assert await upstream.posted() == [(f"{RECORDS}/13", REQUEST)]

    # Acknowledged

    async def test_wait_returns_the_acknowledgement(self, relaying: Ingress) -> None:
        """The page's own sample with `Prefer: wait` returns its acknowledgement, which lies on Kafka as told."""
        status, answer = await relaying.post(REQUEST, prefer="wait=5")
        assert (status, answer["statusCode"], answer["status"]) == (200, 0, "acknowledged")
        [found] = [
            one
            for one in relaying.kafka.records
            if dict(one.headers)["ce_id"] == answer["acknowledgement"]["id"].encode()
        ]
        assert found.topic == "acknowledgements.v1"
        assert json.loads(found.value)["referenceId"] == "123456789"
        assert relaying.statuses("123456789") == ["requested", "accepted", "acknowledged"]
        assert (await relaying.get("123456789"))["acknowledgement"] == answer["acknowledgement"]

    async def test_form_by_number_is_acknowledged(self, relaying: Ingress) -> None:
        """An operation without a handle is acknowledged as well."""
        assert (await relaying.post(BY_NUMBER, RECORDS, prefer="wait=5"))[1]["status"] == "acknowledged"

    async def test_respond_async_ends_as_well(self, upstream: Upstream, relaying: Ingress) -> None:
        """An asynchronous operation is forwarded once, and acknowledged; waiting for it is the same."""
        status, answer = await relaying.post(REQUEST, prefer="respond-async")
        assert (status, answer["referenceId"]) == (202, "123456789")
        status, answer = await relaying.post(REQUEST, prefer="respond-async, wait=5")
        assert (status, answer["status"]) == (200, "acknowledged")
        assert await upstream.posted() == [(f"{RECORDS}/13", REQUEST)]

    async def test_many_callers_wait_at_once(self, relaying: Ingress) -> None:
        """Callers that wait at the same time each get their own acknowledgement, and each is on Kafka once."""
        bodies = [sample() for _ in range(60)]
        answers = await asyncio.gather(*(relaying.post(body, prefer="wait=10") for body in bodies))
        assert {(status, answer["status"]) for status, answer in answers} == {(200, "acknowledged")}
        assert [answer["referenceId"] for _, answer in answers] == [body["referenceId"] for body in bodies]
        assert len({answer["acknowledgement"]["id"] for _, answer in answers}) == len(bodies)
        for body in bodies:  # an acknowledgement that overtakes the reply leaves no room for `accepted`
            told = relaying.statuses(body["referenceId"])
            assert [status for status in told if status != "accepted"] == ["requested", "acknowledged"]
            assert told[-1] == "acknowledged"

    @pytest.mark.parametrize("fault", ["numeric-reference", "no-reference", "acknowledgement-doubled"])
    async def test_odd_acknowledgement_is_understood(self, upstream: Upstream, relaying: Ingress, fault: str) -> None:
        """A number or nothing for a reference, or a second acknowledgement, makes no difference to the caller."""
        await upstream.fault(f"{fault}:rest:1")
        assert (await relaying.post(REQUEST, prefer="wait=5"))[1]["status"] == "acknowledged"
        assert relaying.statuses("123456789") == ["requested", "accepted", "acknowledged"]

    async def test_missing_acknowledgement_times_out(self, upstream: Upstream) -> None:
        """Without an acknowledgement the caller gets 202 and the operation ends as timed-out."""
        async with ingress_to(upstream.url, acknowledgement_timeout=1) as ingress:
            await ingress.relaying()
            await upstream.fault("acknowledgement-missing:rest:1")
            assert (await ingress.post(REQUEST, prefer="wait=0"))[1]["status"] == "accepted"
            status, answer = await ingress.post(REQUEST, prefer="wait=10")
            assert (status, answer["status"]) == (202, "timed-out")
            assert ingress.statuses("123456789") == ["requested", "accepted", "timed-out"]

    async def test_late_acknowledgement_counts(self, upstream: Upstream) -> None:
        """An acknowledgement after the time-out turns the operation into acknowledged, and is told as late."""
        async with ingress_to(upstream.url, acknowledgement_timeout=0.5) as ingress:
            await ingress.relaying()
            await upstream.fault("acknowledgement-late:rest:1:delay=3")
            status, answer = await ingress.post(REQUEST, prefer="wait=10")
            assert (status, answer["status"]) == (202, "timed-out")
            await eventually(lambda: ingress.statuses("123456789")[-1] == "acknowledged")
            status, answer = await ingress.post(REQUEST, prefer="wait=5")
            assert (status, answer["status"], answer["acknowledgement"]["late"]) == (200, "acknowledged", True)

    # Refused, or repaired

    async def test_ended_login_is_not_the_callers_problem(self, upstream: Upstream, ingress: Ingress) -> None:
        """When Web Services has forgotten the login, the caller still gets its statusCode 0."""
        for _ in range(2):
            assert (await ingress.post(sample()))[0] == 200
            await upstream.drop_logins()
        assert (await ingress.post(sample()))[0] == 200

    async def test_worthless_token_is_not_the_callers_problem(self, upstream: Upstream, ingress: Ingress) -> None:
        """When the CSRF token has become worthless, the caller still gets its statusCode 0."""
        assert (await ingress.post(sample()))[0] == 200
        await upstream.fault("csrf-invalid:rest:1")
        assert (await ingress.post(sample()))[0] == 200

    async def test_one_unauthenticated_answer_is_repaired(self, upstream: Upstream, ingress: Ingress) -> None:
        """One statusCode 20 means a new login and the same request again."""
        await upstream.fault("status-20:rest:1")
        assert (await ingress.post(REQUEST))[0] == 200

    async def test_lasting_unauthenticated_answer_is_unavailable(self, upstream: Upstream, ingress: Ingress) -> None:
        """A statusCode 20 that new logins do not cure is a 503 that says so: nothing was done, and a retry is safe."""
        await upstream.fault("status-20:rest:40")
        status, answer = await ingress.post(REQUEST)
        assert (status, answer["code"]) == (503, "login-not-kept")

    async def test_state_problem_is_a_conflict(self, upstream: Upstream, ingress: Ingress) -> None:
        """HTTP 500 with statusCode 4 is a 409 for the caller, is not sent a second time, and is remembered."""
        await upstream.fault("status-4:rest:1")
        for _ in range(2):
            status, answer = await ingress.post(REQUEST)
            assert (status, answer["code"], answer["statusCode"]) == (409, "upstream-rejected", 4)
            assert answer["referenceId"] == "123456789"
        assert len(await upstream.posted()) == 1
        assert (await ingress.post(sample()))[0] == 200

    async def test_forbidden_is_forbidden(self, upstream: Upstream, ingress: Ingress) -> None:
        """A 403 with statusCode 3 or 5 stays a 403."""
        for code in (3, 5):
            await upstream.fault(f"forbidden-{code}:rest:1")
            status, answer = await ingress.post(sample())
            assert (status, answer["statusCode"]) == (403, code)

    async def test_many_callers_share_one_login(self, upstream: Upstream, ingress: Ingress) -> None:
        """Callers that come together are all served, also when the login has just ended."""
        await ingress.post(sample())
        await upstream.drop_logins()
        references = [str(number) for number in range(40)]
        answers = await asyncio.gather(*(ingress.post(REQUEST | {"referenceId": one}) for one in references))
        assert [answer["referenceId"] for _, answer in answers] == references
        assert {status for status, _ in answers} == {200}

    async def test_wrong_password_is_unavailable(self, upstream: Upstream) -> None:
        """With a refused password every call is a 503, and Web Services sees no operation."""
        async with ingress_to(upstream.url, password="wrong") as ingress:
            for _ in range(2):
                status, answer = await ingress.post(REQUEST)
                assert (status, answer["code"]) == (503, "login-refused")
            assert ingress.login.state is LoginState.REFUSED
        assert await upstream.posted() == []

    async def test_feature_and_device_are_known(self, ingress: Ingress) -> None:
        """The login tells that the account may do outbound operations, and which device it has."""
        profile = await ingress.login.profile()
        assert profile.may_do_outbound
        assert profile.devices

    # On the wire

    @pytest.mark.parametrize("fault", ["html-503", "reset"])
    async def test_passing_fault_is_not_the_callers_problem(
        self, upstream: Upstream, ingress: Ingress, fault: str
    ) -> None:
        """One balancer's page or lost connection: the request goes again, under the same reference."""
        assert (await ingress.post(sample()))[0] == 200
        await upstream.fault(f"{fault}:rest:1")
        assert await ingress.post(REQUEST) == (200, {"statusCode": 0, "referenceId": "123456789"})
        assert [body for _, body in await upstream.posted()][1:] == [REQUEST]
        assert (await ingress.get("123456789"))["attempt"] == 2

    async def test_half_a_reply_is_not_the_callers_problem(self, upstream: Upstream, relaying: Ingress) -> None:
        """When the reply is cut, the acknowledgement says what it would have said, or else the second attempt does."""
        await upstream.fault("cut-reply:rest:1")
        assert await relaying.post(REQUEST) == (200, {"statusCode": 0, "referenceId": "123456789"})
        posted = [body for _, body in await upstream.posted()]
        assert posted in ([REQUEST], [REQUEST] * 2)
        assert (await relaying.post(REQUEST, prefer="wait=5"))[1]["status"] == "acknowledged"
        assert (await relaying.get("123456789"))["attempt"] == len(posted)

    @pytest.mark.parametrize(
        ("fault", "status", "code"),
        [
            ("html-503", 502, "upstream-invalid-reply"),
            ("broken-json", 502, "upstream-invalid-reply"),
            ("reset", 503, "upstream-unreachable"),
        ],
    )
    async def test_lasting_fault_has_its_status(
        self, upstream: Upstream, ingress: Ingress, fault: str, status: int, code: str
    ) -> None:
        """Nonsense from upstream is a 502 and a lost connection a 503, once some attempts have not helped."""
        assert (await ingress.post(sample()))[0] == 200
        await upstream.fault(f"{fault}:rest:5")
        answered, answer = await ingress.post(REQUEST)
        assert (answered, answer["code"], answer["referenceId"]) == (status, code, "123456789")

    async def test_slow_upstream_is_a_gateway_timeout(self, upstream: Upstream) -> None:
        """An answer that takes 8 s where 1 s is allowed is a 504, and is not asked for a second time."""
        async with ingress_to(upstream.url, request_timeout=1) as ingress:
            assert (await ingress.post(sample()))[0] == 200
            await upstream.fault("slow:rest:1:delay=8")
            status, answer = await ingress.post(REQUEST)
            assert (status, answer["code"], answer["referenceId"]) == (504, "upstream-timeout", "123456789")

    async def test_gone_server_is_unavailable(self, upstream: Upstream, ingress: Ingress) -> None:
        """With Web Services gone the caller gets a 503 within seconds, and is told when to come again."""
        assert (await ingress.post(sample()))[0] == 200
        await upstream.stop()
        async with ingress.caller.post(f"{ingress.url}{RECORDS}/13", json=REQUEST) as reply:
            assert (reply.status, (await reply.json(content_type=None))["code"]) == (503, "upstream-unreachable")
            assert int(reply.headers["Retry-After"]) > 0
