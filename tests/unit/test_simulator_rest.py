import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bridge.simulator import Fault, Simulator
from tests.page import ACKNOWLEDGEMENT, DEVICE, DEVICE_PATH, REQUEST, USER_EVENT
from tests.unit.simulator_client import Client, Message, batch, events

RECORDS = "/api/v2/me/outbound-records"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(timeout=0.5, acknowledgement_delay=0.005) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Client]:
    async with Client(simulator.url) as opened:
        yield opened


async def answers(client: Client, count: int) -> list[Message]:
    """Poll until that many events have come."""
    found: list[Message] = []
    number = 1
    async with asyncio.timeout(30):
        while len(found) < count:
            replies = await client.connect(number)
            number = batch(replies)
            found += [one for one in replies if not one["channel"].startswith("/meta/")]
    return found


async def references_until_the_last(client: Client) -> list[str]:
    """Post one more operation, and return the references of all acknowledgements until that of this operation.

    The server sends the messages of an operation after those of all operations before it.
    """
    assert (await client.post(f"{RECORDS}/13", REQUEST | {"referenceId": "last"}))[0] == 200
    found: list[str] = []
    number = 1
    async with asyncio.timeout(30):
        while "last" not in found:
            replies = await client.connect(number)
            number = batch(replies)
            found += [one["referenceId"] for one in events(replies) if "referenceId" in one]
    return found


async def test_login_is_needed(simulator: Simulator) -> None:
    """Without a login REST and CometD both answer 403 with statusCode 20; the version needs none."""
    async with aiohttp.ClientSession() as http:
        for method, path in (("GET", "/api/v2/me"), ("POST", RECORDS), ("POST", "/api/v2/notifications")):
            async with http.request(method, simulator.url + path, data=b"[]") as reply:
                assert reply.status == 403
                assert await reply.json() == {"statusCode": 20, "statusMessage": "Access denied"}
        async with http.get(f"{simulator.url}/api/v2/diagnostics/version") as reply:
            assert (await reply.json())["statusCode"] == 0


async def test_wrong_password_is_anonymous(simulator: Simulator) -> None:
    """A wrong password is not told apart from no login."""
    headers = {"Authorization": aiohttp.encode_basic_auth("agent", "wrong")}
    async with aiohttp.ClientSession() as http, http.get(f"{simulator.url}/api/v2/me", headers=headers) as reply:
        assert reply.status == 403
        assert "JSESSIONID" not in reply.cookies


async def test_cookie_is_enough_after_basic(simulator: Simulator, client: Client) -> None:
    """The JSESSIONID of a Basic login serves the following requests, until the server drops the login."""
    assert (await client.get("/api/v2/me"))[0] == 200
    assert simulator.drop_logins() == 1
    assert (await client.get("/api/v2/me"))[0] == 403


async def test_me_tells_features_and_devices_on_request(client: Client) -> None:
    """`subresources` brings the features with api-voice-outbound and the devices; without it they stay away."""
    _, reply = await client.get("/api/v2/me?subresources=features,devices")
    assert "api-voice-outbound" in [one["id"] for one in reply["user"]["features"]]
    assert reply["user"]["devices"][0]["id"] == DEVICE
    _, bare = await client.get("/api/v2/me")
    assert not {"features", "devices"} & bare["user"].keys()


async def test_post_without_the_csrf_token_is_refused_in_plain_text(client: Client) -> None:
    """403 has a second meaning: the CSRF text, which is no JSON; a GET gives the token anew."""
    token, client.csrf = client.csrf, {}
    assert await client.post("/api/v2/me", {"operationName": "StartContactCenterSession"}) == (
        403,
        {"text": "Missing or invalid Csrf token"},
    )
    client.csrf = token
    assert await client.post("/api/v2/me", {"operationName": "StartContactCenterSession"}) == (200, {"statusCode": 0})


async def test_csrf_protection_can_be_off() -> None:
    """Without the protection no header is advertised and none is needed."""
    async with Simulator(csrf=False) as simulator, Client(simulator.url) as client:
        assert client.csrf == {}
        assert (await client.post("/api/v2/me", {"operationName": "StartContactCenterSession"}))[0] == 200


async def test_end_of_the_contact_center_session_ends_the_login(client: Client) -> None:
    """EndContactCenterSession invalidates the HTTP session, and with it cookie and token."""
    assert (await client.post("/api/v2/me", {"operationName": "EndContactCenterSession"}))[0] == 200
    assert (await client.get("/api/v2/me"))[0] == 403


async def test_do_not_call_is_answered_by_the_two_messages_of_the_page(simulator: Simulator, client: Client) -> None:
    """By handle: statusCode 0 at once, then the acknowledgement and the user event as documented."""
    await client.open()
    assert await client.post(f"{RECORDS}/13", REQUEST) == (200, {"statusCode": 0})
    acknowledgement, user_event = await answers(client, 2)
    assert acknowledgement == ACKNOWLEDGEMENT
    assert user_event["channel"] == USER_EVENT["channel"]
    assert user_event["data"]["deviceId"] == USER_EVENT["data"]["deviceId"]
    assert user_event["data"]["userData"] == USER_EVENT["data"]["userData"]
    [operation] = simulator.operations
    assert (operation.path, operation.body, operation.user) == (f"{RECORDS}/13", REQUEST, "agent")
    assert (operation.http_status, operation.status_code) == (200, 0)


async def test_do_not_call_by_phone_number_has_no_handle(client: Client) -> None:
    """Without a handle the acknowledgement has the phone number instead, and callingList may be missing."""
    await client.open()
    body = {name: value for name, value in REQUEST.items() if name not in ("callingList", "referenceId")}
    assert await client.post(RECORDS, body) == (200, {"statusCode": 0})
    acknowledgement, user_event = await answers(client, 2)
    assert acknowledgement["data"]["record"] == {
        "devicePath": DEVICE_PATH,
        "applicationId": 134,
        "campaignName": "Campaign1",
        "phoneNumber": "3001",
    }
    assert "referenceId" not in acknowledgement["data"]
    assert "GSW_RECORD_HANDLE" not in user_event["data"]["userData"]


@pytest.mark.parametrize(
    ("name", "further", "notification"),
    [
        ("GetChainedRecord", {}, "ChainedRecordsDataEnd"),
        ("UpdateRecord", {}, "UpdateCallCompletionStatsAcknowledge"),
        ("CompleteRecord", {}, "RecordProcessedAcknowledge"),
        ("RejectRecord", {}, "RecordRejectAcknowledge"),
        ("RescheduleRecord", {"callbackType": "Personal", "timestamp": 1}, "ScheduledRecordRescheduleAcknowledge"),
    ],
)
async def test_other_operations(client: Client, name: str, further: Message, notification: str) -> None:
    """Each operation by handle is answered by its own notification type."""
    await client.open()
    assert (await client.post(f"{RECORDS}/5", REQUEST | further | {"operationName": name}))[0] == 200
    acknowledgement, user_event = await answers(client, 2)
    assert acknowledgement["data"]["notificationType"] == notification
    assert user_event["data"]["userData"]["GSW_USER_EVENT"] == notification


async def test_preview_session_is_answered_on_the_same_channel(client: Client) -> None:
    """StartPreviewSession names its campaign in the URL and gets one campaign message."""
    await client.open()
    body = {"operationName": "StartPreviewSession", "applicationId": 134, "devicePath": "/devices/1"}
    assert (await client.post("/api/v2/me/outbound-campaigns/Campaign1", body))[0] == 200
    [message] = await answers(client, 1)
    assert message["data"]["messageType"] == "OutboundCampaignMessage"
    assert message["data"]["campaign"]["name"] == "Campaign1"


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("/13", {"callingList": None}, (400, 1)),
        ("/13", {"applicationId": "134"}, (400, 10)),
        ("/13", {"operationName": "Nonsense"}, (400, 10)),
        ("/13", {"operationName": "AddRecord"}, (400, 10)),
        ("/abc", {}, (400, 10)),
        ("", {"phoneNumber": None}, (400, 1)),
        ("/13/more", {}, (404, 6)),
    ],
)
async def test_wrong_operations_are_refused_and_answered_by_nothing(
    client: Client, path: str, change: Message, expected: tuple[int, int]
) -> None:
    """A missing parameter is statusCode 1, a wrong one 10, a wrong path 6; no message follows."""
    await client.open()
    body = {name: value for name, value in (REQUEST | change).items() if value is not None}
    status, reply = await client.post(RECORDS + path, body)
    assert (status, reply["statusCode"]) == expected
    assert await references_until_the_last(client) == ["last"]


async def test_answers_reach_only_the_sessions_of_the_caller() -> None:
    """Another user's session hears nothing of the operation."""
    async with (
        Simulator(timeout=0.05, users={"second": "word"}, acknowledgement_delay=0) as simulator,
        Client(simulator.url) as one,
        Client(simulator.url, username="second", password="word") as two,
    ):
        await one.open()
        await two.open()
        await one.post(f"{RECORDS}/13", REQUEST)
        assert len(await answers(one, 2)) == 2
        assert events(await two.connect(1)) == []


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("status-4", 500, 4), ("status-20", 403, 20), ("forbidden-3", 403, 3), ("forbidden-5", 403, 5)],
)
async def test_refusal_faults(simulator: Simulator, client: Client, name: str, status: int, code: int) -> None:
    """Each refusal has its own HTTP status and statusCode, and strikes as often as it was told."""
    simulator.faults.add(Fault(name, on="rest", times=1))
    refused = await client.post(f"{RECORDS}/13", REQUEST)
    assert (refused[0], refused[1]["statusCode"]) == (status, code)
    assert (await client.post(f"{RECORDS}/13", REQUEST))[0] == 200
    assert [one.status_code for one in simulator.operations] == [code, 0]
    assert simulator.faults.struck == {name: 1}


async def test_csrf_fault_makes_the_old_token_worthless(simulator: Simulator, client: Client) -> None:
    """After csrf-invalid only a token from a new GET is taken."""
    simulator.faults.from_text("csrf-invalid:rest:1")
    assert (await client.post(f"{RECORDS}/13", REQUEST))[1] == {"text": "Missing or invalid Csrf token"}
    assert (await client.post(f"{RECORDS}/13", REQUEST))[0] == 403
    await client.login()
    assert (await client.post(f"{RECORDS}/13", REQUEST))[0] == 200


@pytest.mark.parametrize(("name", "copies"), [("acknowledgement-missing", 0), ("acknowledgement-doubled", 2)])
async def test_acknowledgement_faults(simulator: Simulator, client: Client, name: str, copies: int) -> None:
    """The operation is accepted, and its messages come not at all, or twice."""
    await client.open()
    simulator.faults.add(Fault(name, times=1))
    assert (await client.post(f"{RECORDS}/13", REQUEST))[0] == 200
    assert await references_until_the_last(client) == [REQUEST["referenceId"]] * copies + ["last"]


async def test_late_acknowledgement(simulator: Simulator, client: Client) -> None:
    """acknowledgement-late holds the messages back by its delay."""
    await client.open()
    simulator.faults.add(Fault("acknowledgement-late", times=1, delay=0.6))
    await client.post(f"{RECORDS}/13", REQUEST)
    await client.post(f"{RECORDS}/14", REQUEST)
    handles = [one["data"]["record"]["recordHandle"] for one in await answers(client, 4) if "record" in one["data"]]
    assert handles == [14, 13]


@pytest.mark.parametrize(
    ("name", "expected"), [("numeric-reference", {"referenceId": 123456789}), ("no-reference", {})]
)
async def test_reference_faults(simulator: Simulator, client: Client, name: str, expected: Message) -> None:
    """The acknowledgement's reference is a number, or is not there."""
    await client.open()
    simulator.faults.add(Fault(name, times=1))
    await client.post(f"{RECORDS}/13", REQUEST)
    acknowledgement, _ = await answers(client, 2)
    assert {name: value for name, value in acknowledgement["data"].items() if name == "referenceId"} == expected
