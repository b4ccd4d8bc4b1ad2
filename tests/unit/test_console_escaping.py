"""Nothing that comes from data becomes an element, an attribute or a script of the console's pages."""

from typing import Any

import msgspec
import pytest

from bridge.events import Upstream
from bridge.http import FleetView, Gap, IncidentsView, Missing, RefusedRecord, ReplicaView, SessionView, SlotView
from bridge.http.auth.authentication import Caller
from bridge.operations import Evidence, OperationView, Times
from bridge.operations.recorded_request import digest
from tests.unit.console_side import Browser, console_side
from tests.unit.operations_in_memory import AT
from tests.unit.test_console_access import FORM

HARMLESS = "harmless"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "x autofocus onfocus=alert(1) y",
    "</textarea></title></pre><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*191 }}{% raw %}<b>",
    "<!--<script>",
    "&lt;img src=x onerror=alert(1)&gt;",
    "x\u2028</script>\u0000<b>\u202e",
]
PATHS = ["/console", "/console/operations", "/console/incidents", "/console/sessions"]


def hostile_view(text: str, status: Any = "acknowledged") -> OperationView:
    """An operation of which every text is `text`."""
    request = msgspec.json.encode(
        {"operationName": text, "phoneNumber": text, "campaignName": text, "applicationId": 1, text: [text]}
    )
    return OperationView(
        reference_id=text,
        operation=text,
        status=status,
        account=text,
        received_at=AT,
        requested_by=text,
        record_handle=None,
        request_json=request,
        request_digest=digest(request),
        times=Times(requested=AT),
        upstream=Upstream(200, 0, text),
        acknowledgement=Evidence(id=text, key=text, topic=text, partition=1),
        user_event_id=text,
        latency_ms=1,
    )


class Named:
    """An authentication whose caller has a hostile name."""

    def __init__(self, name: str) -> None:
        self.scheme: Any = {"type": "http", "scheme": "bearer"}
        self._caller = Caller(name, frozenset({"operations:read", "operations:write"}))

    async def caller(self, token: str) -> Caller:
        del token
        return self._caller


def side(text: str) -> Any:
    """The console of a bridge in which every text is `text`."""
    session = SessionView(
        account=text,
        session=text,
        state=text,
        reason=text,
        ack_extension=False,
        guarantee="at-most-once",
        subscriptions_refused=[text],
        watchdog=text,
    )
    gap = Gap(account=text, session=text, previous_session=text, start=text, end=text, reason=text, at=text)
    refused = RefusedRecord(
        account=text, reason=text, topic=text, size=1, event_type=text, event_id=text, at=text, partition=0, offset=0
    )
    replica = ReplicaView(name=text, slots=[0], accounts=[text], since=AT)  # type: ignore[arg-type]
    return console_side(
        readiness=lambda: [Missing(name=text, reason=text, account=text)],
        session_views=lambda: [session],
        fleet_view=lambda: FleetView(replicas=[replica], slots=[SlotView(slot=1, replica=None, accounts=[text])]),
        incidents=IncidentsView(since=text, failing=text, gaps=[gap], refused=[refused], most=9),
        authentication=Named(text),
        sources={"accounts": lambda: [text, text], "replica": text, "in_fleet": True},
    )


async def pages(browser: Browser, text: str) -> dict[str, Any]:
    """The structure of every page that can show data, after a sign-in."""
    await browser.send("/console/sign-in", "/console/sign-in", token="x")
    browser.api.operations.views[text] = hostile_view(text)
    listed = await browser.get("/console/operations")
    [link] = {one for one in listed.parsed.links() if one.startswith("/console/operations/")}
    found = {path: await browser.get(path) for path in PATHS}
    found["one"] = await browser.get(link)
    found["again"] = await browser.get(link.replace("/operations/", "/again/"))
    found["revealed"] = await browser.send("/console/reveal", "/console/submit", reference=text)
    filters = dict.fromkeys(("account", "reference", "phone", "record"), text)
    found["filtered"] = await browser.follow(
        await browser.send("/console/operations", "/console/operations", **filters)
    )
    found["wrong filter"] = await browser.follow(
        await browser.send("/console/operations", "/console/operations", since=f"x{text}", account=text)
    )
    fields = dict.fromkeys(FORM, text) | {"operationName": "DoNotCallRecord", "account": text, "phoneNumber": text}
    found["wrong form"] = await browser.send("/console/submit", "/console/submit", **fields)
    found["wrong again"] = await browser.send("/console/again", "/console/submit", reference=text, referenceId=text)
    found["sign-in"] = await browser.send("/console/sign-out", "/console")
    found["sign-in"] = await browser.get("/console/sign-in?next=" + link)
    found["not found"] = await browser.get(link.replace("/operations/", "/nothing/"))
    assert {name: page.status for name, page in found.items() if page.status >= 500} == {}
    return found


@pytest.mark.parametrize("text", HOSTILE)
async def test_data_changes_no_page_structure(text: str) -> None:
    """Each page has the same elements and attributes for hostile texts as for harmless ones, in every field."""
    async with side(HARMLESS) as browser:
        harmless = await pages(browser, HARMLESS)
    async with side(text) as browser:
        hostile = await pages(browser, text)
    for name, page in hostile.items():
        assert page.parsed.structure == harmless[name].parsed.structure, name
        for link in page.parsed.links():
            assert link.startswith(("/console", "/docs", "/metrics", "#")), (name, link)
        assert "1337" not in page.text or "{{ 7*191 }}" not in text, name


async def test_the_test_has_every_field() -> None:
    """The hostile text stands on each page, so that the test above looks at pages that show it."""
    async with side(HARMLESS) as browser:
        for name, page in (await pages(browser, HARMLESS)).items():
            if name not in {"sign-in", "not found"}:
                assert HARMLESS in page.text or HARMLESS in page.parsed.fields().values(), name
