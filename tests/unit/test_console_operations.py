"""The console's pages about operations: the list with its filters, one operation, and its phone numbers."""

import time

import msgspec
import pytest
import structlog.testing

from bridge.events import Upstream, rfc3339
from bridge.operations import Times
from bridge.privacy import Concealment
from tests.unit.api import BODY
from tests.unit.console_side import PHONE, Browser, console_side, submitted


async def test_operations_are_found_by_each_filter(browser: Browser) -> None:
    """Each field of the form finds the operation that it describes, and no other."""
    await submitted(browser, referenceId="other", campaignName="Campaign2", phoneNumber="5559999")
    await browser.api.post(BODY | {"phoneNumber": PHONE}, X_Account="second")
    browser.api.operations.change("r1", "rejected", upstream=Upstream(500, 4, None))
    for name, value in {
        "status": "rejected",
        "account": "second",
        "reference": "r1",
        "phone": "+1 (555) 010-2345",
        "record": "134/Campaign1/13",
    }.items():
        page = await browser.follow(await browser.send("/console/operations", "/console/operations", **{name: value}))
        links = [link for link in page.parsed.links() if link.startswith("/console/operations/")]
        assert links == ["/console/operations/r1"], name
        shown = page.parsed.fields() | {"status": "rejected"}
        assert shown[name] == value
    page = await browser.follow(
        await browser.send("/console/operations", "/console/operations", since="2026-01-01T12:01")
    )
    assert "No operation matches these filters" in page.text


async def test_a_search_for_a_number_without_a_result_says_what_else_to_try(browser: Browser) -> None:
    """The console has only recent operations, so it names the command that searches all of Kafka."""
    page = await browser.follow(await browser.send("/console/operations", "/console/operations", phone="5559999"))
    assert "No operation matches these filters" in page.text
    assert "with and without the country code" in page.text
    assert "run bridge evidence export with --phone" in page.text


async def test_phone_and_record_are_encrypted_in_urls(browser: Browser) -> None:
    """A search for a number leaves no number in a URL, pages keep it, and another visitor can't use the URL."""
    for number in range(51):
        await submitted(browser, referenceId=f"r{number}")
    sent = await browser.send("/console/operations", "/console/operations", phone=PHONE, record="134/Campaign1/13")
    assert PHONE[1:] not in sent.headers["Location"]
    assert "Campaign1" not in sent.headers["Location"]
    page = await browser.follow(sent)
    [older] = [link for link in page.parsed.links() if "after=" in link]
    assert PHONE[1:] not in older
    assert "r0" in (await browser.get(older)).text
    browser.client.cookie_jar.clear()
    stranger = await browser.follow(sent)
    assert stranger.status == 422
    assert PHONE not in stranger.html


@pytest.mark.parametrize(
    "query", ["status=done", "since=yesterday", "until=12", f"account={'x' * 301}", "sealed=forged"]
)
async def test_wrong_filter_is_told(browser: Browser, query: str) -> None:
    """A filter that can't be read is told on the page, and lists nothing as if it matched."""
    await submitted(browser)
    page = await browser.get(f"/console/operations?{query}")
    assert page.status == 422
    assert "/console/operations/r1" not in page.parsed.links()


async def test_search_for_an_omitted_number_is_refused(browser: Browser) -> None:
    """With `omit` the page says that a search for a number is impossible."""
    browser.api.operations.privacy = Concealment(None)
    page = await browser.follow(await browser.send("/console/operations", "/console/operations", phone=PHONE))
    assert page.status == 422
    assert "can't search for a phone number" in page.text


async def test_operation_has_its_life_and_the_place_of_its_acknowledgement(browser: Browser) -> None:
    """The page has each status with its time, the reply, and topic, partition, key and id of the acknowledgement."""
    await submitted(browser)
    browser.api.operations.acknowledge("r1")
    text = (await browser.get("/console/operations/r1")).text
    for part in ("requested 12:00:00.012", "HTTP status 200", "statusCode 0", "Topic gws.acknowledgements.v1"):
        assert part in text
    for part in ("Partition 3", "Key 134/Campaign1/13", "ce_id 5f1d7a84db00d2fc-17", '"campaignName": "Campaign1"'):
        assert part in text


async def test_unknown_operation_and_page_are_pages(browser: Browser) -> None:
    """What is not there is a page for people with its status, with the way back, and the policy holds there too."""
    for path in ("/console/operations/nope", "/console/nothing"):
        page = await browser.get(path)
        assert page.status == 404
        assert "/console" in page.parsed.links()
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("reference", ["a/b", "a?b=c", "%2e%2e", "é ü", "/x/", "a#b", "..;/"])
async def test_any_reference_has_a_page(browser: Browser, reference: str) -> None:
    """The link of an operation leads to it, whatever characters its referenceId has."""
    await submitted(browser, referenceId=reference)
    page = await browser.get("/console/operations")
    [link] = [link for link in page.parsed.links() if link.startswith("/console/operations/")]
    async with browser.client.get(f"{browser.api.url}{link}") as reply:
        assert reply.status == 200
        assert (await reply.text()).count("DoNotCallRecord")


@pytest.mark.parametrize("handle", [True, False])
async def test_numbers_are_masked_until_somebody_asks(browser: Browser, *, handle: bool) -> None:
    """No page, key or message of upstream shows a phone number until the visitor asks for it, which is logged."""
    body = BODY | {"phoneNumber": PHONE, "otherPhone": "5557654321"}
    await browser.api.post(body, "/api/v2/me/outbound-records/13" if handle else "/api/v2/me/outbound-records")
    browser.api.operations.change(
        "r1", "rejected", upstream=Upstream(500, 4, f"no device for {PHONE}"), acknowledgement=None
    )
    for path in ("/console", "/console/operations", "/console/operations/r1", "/console/again/r1"):
        html = (await browser.get(path)).html
        assert "5550102345" not in html, path
        assert "5557654321" not in html, path
    with structlog.testing.capture_logs() as logs:
        page = await browser.send("/console/reveal", "/console/operations/r1", reference="r1")
    assert PHONE in page.text
    assert f"no device for {PHONE}" in page.text
    assert "hx-get" not in page.html
    [line] = [one for one in logs if one["event"] == "console-numbers-shown"]
    assert (line["reference_id"], line["caller"]) == ("r1", None)
    assert "0102345" not in str(logs)


async def test_hidden_numbers_stay_hidden(browser: Browser) -> None:
    """With `hmac` and `omit` nobody sees a number, whoever asks, because the events have none either."""
    await submitted(browser)
    browser.api.operations.change("r1", "rejected", upstream=Upstream(500, 4, f"no device for {PHONE}"))
    for privacy in (Concealment(b"a secret of the tests"), Concealment(None)):
        browser.api.operations.privacy = privacy
        for page in (
            await browser.get("/console/operations/r1"),
            await browser.send("/console/reveal", "/console/submit", reference="r1"),
        ):
            assert "0102345" not in page.html
        assert (privacy.number(PHONE) or "Phone number") in page.text


async def test_evidence_of_each_operation_is_offered(browser: Browser) -> None:
    """The page of an operation has a link to its evidence, which is the file that the REST API makes."""
    await submitted(browser, referenceId="r 1")
    page = await browser.get("/console/operations/r%201")
    assert [link for link in page.parsed.links() if "evidence" in link] == ["/console/evidence/r%201"]
    assert (await browser.get("/console/evidence/r%201")).html == '{"subject":"r 1"}'


async def test_list_says_how_long_a_pending_operation_takes(browser: Browser) -> None:
    """A pending operation has its age, and once Web Services has accepted it also the time at which it times out."""
    for number, status in enumerate(("requested", "accepted", "acknowledged")):
        await submitted(browser, referenceId=f"r{number}")
        now = rfc3339(time.time())
        browser.api.operations.views[f"r{number}"] = msgspec.structs.replace(
            browser.api.operations.views[f"r{number}"],
            status=status,
            received_at=now,
            times=Times(requested=now, accepted="2026-01-01T12:00:00.500Z"),
        )
    for path in ("/console", "/console/operations"):
        page = await browser.get(path)
        assert page.text.count(" so far") == 2
        assert page.text.count("due 12:00:30") == 1


async def test_a_time_out_beyond_the_calendar_breaks_no_page() -> None:
    """A time-out may be longer than any date. The list then has no time at which the operation is due."""
    async with console_side(sources={"acknowledgement_timeout": 1e15}) as browser:
        await submitted(browser)
        browser.api.operations.change("r1", "accepted", times=Times(accepted="2026-01-01T12:00:00.500Z"))
        page = await browser.get("/console/operations")
    assert page.status == 200
    assert "so far" in page.text
    assert "due" not in page.text
