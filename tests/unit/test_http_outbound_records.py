"""Submitting: what the caller prefers, idempotency, and the operations beside DoNotCallRecord."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from multidict import CIMultiDict

from bridge.errors import SettingsError
from bridge.events import Upstream
from bridge.http import create_app
from bridge.operations import OUTBOUND_OPERATIONS
from tests.unit.api import BARE, BODY, RECORD, RECORDS, Answer, Api, rest_side
from tests.unit.operations_in_memory import InMemoryOperations
from tests.unit.served import served
from tests.waiting import eventually

FORWARDED = [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    async with rest_side() as api:
        yield api


@pytest_asyncio.fixture
async def every() -> AsyncIterator[Api]:
    """A bridge with every operation enabled."""
    async with rest_side(enabled=FORWARDED) as api:
        yield api


async def submitted(api: Api, reference_id: str = "r1") -> None:
    await eventually(lambda: reference_id in api.operations.views)


# Prefer


async def test_wait_answers_with_the_acknowledgement(api: Api) -> None:
    """With `Prefer: wait` the answer comes with the acknowledgement, and says where that lies in Kafka."""
    waiting = asyncio.create_task(api.post(Prefer="wait=30"))
    await submitted(api)
    assert not waiting.done()
    api.operations.acknowledge("r1")
    answer = await waiting
    assert answer.status == 200
    assert answer.body == {
        "statusCode": 0,
        "referenceId": "r1",
        "status": "acknowledged",
        "acknowledgement": {
            "id": "5f1d7a84db00d2fc-17",
            "topic": "gws.acknowledgements.v1",
            "key": "134/Campaign1/13",
            "partition": 3,
            "late": False,
        },
    }
    assert answer.headers["Preference-Applied"] == "wait=30"


async def test_wait_ends_with_the_status_so_far(api: Api) -> None:
    """When the acknowledgement does not come in time, the answer is 202 with the status and the place to look."""
    for seconds in (0, 1):
        answer = await api.post(Prefer=f"wait={seconds}")
        assert (answer.status, answer.body) == (202, {"statusCode": 0, "referenceId": "r1", "status": "accepted"})
        assert answer.headers["Location"] == "/operations/r1"
        assert answer.headers["Preference-Applied"] == f"wait={seconds}"


async def test_wait_tells_of_a_time_out(api: Api) -> None:
    """An operation that is given up while the caller waits ends the wait: 202, for a late acknowledgement may come."""
    waiting = asyncio.create_task(api.post(Prefer="wait=30"))
    await submitted(api)
    api.operations.change("r1", "timed-out")
    answer = await waiting
    assert (answer.status, answer.body["status"]) == (202, "timed-out")


async def test_wait_ends_with_the_server() -> None:
    """A planned stop cuts nobody off: whoever waits gets 202 with the status so far, at once."""
    operations = InMemoryOperations()
    app = create_app(operations, readiness=list, session_views=list)
    async with asyncio.timeout(30), aiohttp.ClientSession() as client:
        async with served(app) as url:
            waiting = asyncio.create_task(client.post(f"{url}{RECORD}", json=BODY, headers={"Prefer": "wait=30"}))
            await eventually(lambda: "r1" in operations.views)
        async with await waiting as reply:
            assert (reply.status, (await reply.json())["status"]) == (202, "accepted")


async def test_wait_ends_with_its_caller(api: Api) -> None:
    """A caller that goes away while it waits leaves nothing behind that waits on."""
    waiting = asyncio.create_task(api.post(Prefer="wait=30"))
    await eventually(lambda: api.operations.waiting == 1)
    waiting.cancel()
    await eventually(lambda: api.operations.waiting == 0)


async def test_respond_async_is_durable_first(api: Api) -> None:
    """With `Prefer: respond-async` the answer is 202 and the place to look, before Web Services has said anything."""
    answer = await api.post(BODY | {"referenceId": "a/b ?ü"}, Prefer="respond-async")
    assert (answer.status, answer.body) == (202, {"referenceId": "a/b ?ü", "status": "requested"})
    assert answer.headers["Location"] == "/operations/a%2Fb%20%3F%C3%BC"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert [asynchronous for _, asynchronous in api.operations.submissions] == [True]
    assert (await api.get(answer.headers["Location"])).body["referenceId"] == "a/b ?ü"


async def test_both_preferences_combine(api: Api) -> None:
    """`respond-async, wait=S` is durable first, and then waits: 200 when the acknowledgement comes in time."""
    waiting = asyncio.create_task(api.post(Prefer="respond-async, wait=30"))
    await submitted(api)
    api.operations.acknowledge("r1")
    answer = await waiting
    assert (answer.status, answer.body["status"], answer.headers["Preference-Applied"]) == (
        200,
        "acknowledged",
        "wait=30",
    )
    assert [asynchronous for _, asynchronous in api.operations.submissions] == [True]


async def test_late_refusal_is_a_problem(api: Api) -> None:
    """A refusal that an asynchronous caller waits for is the same problem that a synchronous one gets."""
    waiting = asyncio.create_task(api.post(Prefer="respond-async, wait=30"))
    await submitted(api)
    api.operations.change("r1", "rejected", upstream=Upstream(500, 4, "Device '1' is not registered."))
    answer = await waiting
    assert (answer.status, answer.body["code"], answer.body["statusCode"]) == (409, "upstream-rejected", 4)
    assert (answer.body["statusMessage"], answer.body["referenceId"]) == ("Device '1' is not registered.", "r1")


async def test_undelivered_operation_is_unavailable(api: Api) -> None:
    """An operation that ended without a verdict of Web Services is a 503 which says that it may be sent again."""
    waiting = asyncio.create_task(api.post(Prefer="respond-async, wait=30"))
    await submitted(api)
    api.operations.change("r1", "rejected")
    answer = await waiting
    assert (answer.status, answer.body["code"]) == (503, "undelivered")
    assert int(answer.headers["Retry-After"]) > 0


async def test_without_preference_the_answer_is_upstreams_own(api: Api) -> None:
    """Without a preference the answer is 200 with statusCode and referenceId alone; so is a repeated one, when done."""
    for _ in range(2):
        answer = await api.post()
        assert (answer.status, answer.body) == (200, {"statusCode": 0, "referenceId": "r1"})
        assert "Preference-Applied" not in answer.headers
        api.operations.acknowledge("r1")


async def test_no_acceptance_is_made_up(api: Api) -> None:
    """A repeated request whose operation was given up before Web Services accepted it does not get statusCode 0."""
    await api.post(Prefer="respond-async")
    api.operations.change("r1", "timed-out")
    answer = await api.post()
    assert (answer.status, answer.body) == (202, {"referenceId": "r1", "status": "timed-out"})


async def test_trace_context_goes_on(api: Api) -> None:
    """A W3C trace context goes on with the operation, and anything else under that header does not."""
    await api.post(BARE, traceparent=TRACEPARENT)
    await api.post(BARE, traceparent=TRACEPARENT.replace("b7", "B7"))
    assert [one.traceparent for one, _ in api.operations.submissions] == [TRACEPARENT, None]


# Idempotency


async def test_key_becomes_the_reference(api: Api) -> None:
    """An Idempotency-Key is the referenceId of a body without one, quoted as its draft has it, or bare."""
    for sent, reference in (("k-1", "k-1"), ('"k 2"', "k 2"), (r'"k\"3\\"', 'k"3\\')):
        answer = await api.post(BARE, Idempotency_Key=sent)
        assert (answer.status, answer.body["referenceId"]) == (200, reference)
    assert [one.request.body()["referenceId"] for one, _ in api.operations.submissions] == ["k-1", "k 2", 'k"3\\']


async def test_key_and_reference_must_agree(api: Api) -> None:
    """A key beside the same referenceId changes nothing; beside another one nothing is forwarded."""
    assert (await api.post(Idempotency_Key="r1")).status == 200
    answer = await api.post(Idempotency_Key="r2")
    assert (answer.status, answer.body["code"], answer.body["referenceId"]) == (422, "idempotency-key-mismatch", "r1")
    assert [(one["location"], one["name"]) for one in answer.body["errors"]] == [("header", "Idempotency-Key")]
    assert len(api.operations.submissions) == 1


@pytest.mark.parametrize("key", ["", '"', '""', '"a"b', "a,b", "x" * 256, '"' + "x" * 256 + '"', "ü"])
async def test_malformed_key_is_refused(api: Api, key: str) -> None:
    """A key that is no such string, empty or too long is refused under its name."""
    answer = await api.post(BARE, Idempotency_Key=key)
    assert (answer.status, [one["name"] for one in answer.body["errors"]]) == (422, ["Idempotency-Key"])
    assert not api.operations.submissions


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Account"])
async def test_header_that_stands_twice_is_refused(api: Api, name: str) -> None:
    """Two keys or two accounts leave open which one is meant: the request is refused, and the header named."""
    headers = CIMultiDict([(name, "one"), (name, "other")])
    answer = await api.call("POST", RECORD, json=BARE, headers=headers)
    assert (answer.status, answer.body["code"], answer.body["errors"][0]["name"]) == (422, "invalid-request", name)
    assert not api.operations.submissions


async def test_same_request_is_submitted_once(api: Api) -> None:
    """The same request under the same reference gets the known outcome; another one under it is a 422."""
    assert (await api.post()).body == (await api.post()).body
    assert len(api.operations.submissions) == 1
    answer = await api.post(BODY | {"callingList": "Other"})
    assert (answer.status, answer.body["code"], answer.body["referenceId"]) == (422, "reference-conflict", "r1")


# The other operations


def example(name: str, *, handle: bool) -> dict[str, Any]:
    operation = OUTBOUND_OPERATIONS[name]
    form = operation.by_handle if handle else operation.by_number
    assert form is not None
    [one] = form.model_json_schema()["examples"]
    return dict(one)


@pytest.mark.parametrize("name", FORWARDED)
async def test_each_operation_is_taken_in_its_form(every: Api, name: str) -> None:
    """Each enabled operation's own example is submitted under the path that its page tells, with a new referenceId."""
    handle = OUTBOUND_OPERATIONS[name].by_handle is not None
    sent = example(name, handle=handle)
    assert (await every.post(sent, RECORD if handle else RECORDS)).status == 200
    [(one, _)] = every.operations.submissions
    reference = one.request.reference_id
    assert reference is not None
    assert (one.request.operation_name, one.request.body()) == (name, sent | {"referenceId": reference})


def first_fault(answer: Answer) -> tuple[int, str, str]:
    [fault] = answer.body["errors"]
    return answer.status, fault["name"], fault["detail"]


async def test_other_operations_are_off_unless_enabled(api: Api) -> None:
    """An operation that is not enabled is refused, with those that are."""
    status, name, detail = first_fault(await api.post(example("UpdateRecord", handle=True)))
    assert (status, name) == (422, "operationName")
    assert detail.endswith("Enabled: DoNotCallRecord")
    assert not api.operations.submissions


async def test_operation_must_fit_its_path(every: Api) -> None:
    """AddRecord takes no handle, and UpdateRecord needs one."""
    added = first_fault(await every.post(example("AddRecord", handle=False)))
    assert added == (422, "operationName", "AddRecord takes no record handle in the path")
    updated = first_fault(await every.post(example("UpdateRecord", handle=True), RECORDS))
    assert updated == (422, "operationName", "UpdateRecord needs a record handle in the path")


@pytest.mark.parametrize("name", ["Nonsense", "", None, 1, ["DoNotCallRecord"], "GetPreviewRecord"])
async def test_unknown_operation_is_refused_without_its_name(api: Api, name: object) -> None:
    """An operationName that is none is refused with those that are."""
    status, field, detail = first_fault(await api.post(BODY | {"operationName": name}))
    assert (status, field) == (422, "operationName")
    assert detail.endswith(": DoNotCallRecord")
    assert "Nonsense" not in detail


async def test_missing_operation_name_is_missing(api: Api) -> None:
    """Without an operationName everything that is missing is named at once, under statusCode 1."""
    answer = await api.post({"applicationId": 1})
    assert (answer.status, answer.body["statusCode"]) == (422, 1)
    assert [one["name"] for one in answer.body["errors"]] == ["operationName", "campaignName", "devicePath"]


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("RescheduleRecord", {"callbackType": "Nobody"}, "callbackType"),
        ("RescheduleRecord", {"timestamp": "soon"}, "timestamp"),
        ("UpdateRecord", {"from": -1}, "from"),
        ("UpdateRecord", {"phoneType": None}, "phoneType"),
        ("RejectRecord", {"callingList": ""}, "callingList"),
        ("CompleteRecord", {"callResult": 1}, "callResult"),
    ],
)
async def test_parameters_of_each_operation_are_strict(
    every: Api, name: str, change: dict[str, object], fault: str
) -> None:
    """A parameter of another type or range than documented is refused under its name."""
    answer = await every.post(example(name, handle=True) | change)
    assert (answer.status, [one["name"] for one in answer.body["errors"]]) == (422, [fault])


@pytest.mark.parametrize("enabled", [(), ("Nonsense",), ("GetPreviewRecord",)])
def test_only_existing_operations_can_be_enabled(enabled: tuple[str, ...]) -> None:
    """Enabling nothing, or what does not exist, stops the start under the setting's name."""
    with pytest.raises(SettingsError) as failed:
        create_app(InMemoryOperations(), readiness=list, session_views=list, enabled=enabled)
    assert failed.value.faults[0].startswith("BRIDGE_OPERATIONS__ENABLED: ")
