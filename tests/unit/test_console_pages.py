"""What the console's pages show."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
import structlog.testing

from bridge.errors import LedgerUnread
from bridge.events import Upstream
from bridge.http import FleetView, Gap, IncidentsView, Missing, RefusedRecord, ReplicaView, SessionView, SlotView
from bridge.observability import Interval
from bridge.observability.rates import Counts
from bridge.privacy import Concealment
from tests.unit.api import BODY
from tests.unit.console_side import Browser, console_side

PHONE = "+15550102345"
CONNECTED = SessionView(
    account="first",
    session="0123456789abcdef",
    state="connected",
    ack_extension=True,
    guarantee="exactly-once",
    last_reply_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)
ALL_PAGES = [
    "/console",
    "/console/operations",
    "/console/operations/r1",
    "/console/submit",
    "/console/again/r1",
    "/console/incidents",
    "/console/sessions",
]


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with console_side(session_views=lambda: [CONNECTED]) as browser:
        yield browser


async def submitted(browser: Browser, **changes: object) -> None:
    await browser.api.post(BODY | {"phoneNumber": PHONE} | changes)


@pytest.mark.parametrize("path", ALL_PAGES)
async def test_page_forbids_everything_inline_and_foreign(browser: Browser, path: str) -> None:
    """Each page has a strict policy, no inline script, style or handler, and loads from the bridge alone."""
    await submitted(browser)
    page = await browser.get(path)
    assert page.status == 200
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    for tag, attributes in page.parsed.elements:
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        loaded = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        assert loaded is None or loaded.startswith("/console/static/")
        assert tag != "script" or attributes.get("src")


@pytest.mark.parametrize("path", ALL_PAGES)
async def test_page_is_usable_without_scripts(browser: Browser, path: str) -> None:
    """Each link leads to a page, and each form has the CSRF token: no page needs a script to work."""
    await submitted(browser)
    page = await browser.get(path)
    for link in page.parsed.links():
        assert link.startswith("#") or (await browser.get(link)).status == 200, link
    forms = page.parsed.all("form")
    assert [form["method"] for form in forms] == ["post"] * len(forms)
    assert sum(one.get("name") == "csrf" for one in page.parsed.all("input")) == len(forms)


@pytest.mark.parametrize("path", ["/console", "/console/operations", "/console/operations/r1", "/console/sessions"])
async def test_refresh_gets_the_changing_part_alone(browser: Browser, path: str) -> None:
    """A refresh gets the part of the page that changes, without a second header or form of filters."""
    await submitted(browser)
    whole, part = await browser.get(path), await browser.get(path, **{"HX-Request": "true"})
    [live] = [one for one in whole.parsed.all("div") if one.get("id") == "live"]
    assert (live["hx-get"], live["hx-trigger"]) == (path, "every 2s")
    assert "<html" not in part.html
    assert "<header" not in part.html
    assert "as of" in part.text


async def test_overview_says_that_all_is_well(browser: Browser) -> None:
    """With every session connected and nothing missing, the overview says so in its first line."""
    text = (await browser.get("/console")).text
    assert "Everything is flowing" in text
    assert "1 of 1 connected" in text
    assert "Not ready" not in text


async def test_overview_says_why_the_bridge_is_not_ready() -> None:
    """What is missing stands first, with its account and reason."""
    missing = [Missing(name="kafka", reason="no broker answers", account="first")]
    async with console_side(readiness=lambda: missing, session_views=lambda: [CONNECTED]) as browser:
        page = await browser.get("/console")
    assert "Not ready" in page.text
    assert "Kafka : no broker answers" in page.text.replace("Kafka:", "Kafka :")
    assert "Events wait in the CometD server's queue" in page.text
    assert "Everything is flowing" not in page.text


async def test_a_cause_that_many_accounts_share_is_listed_once() -> None:
    """A cause is one entry with its accounts and what to do, however many accounts it concerns."""
    accounts = [f"account-{number}" for number in range(30)]
    missing = [Missing(name="kafka", reason="no broker answers", account=one) for one in accounts]
    for path in ("/console", "/console/sessions"):
        async with console_side(readiness=lambda: missing) as browser:
            text = (await browser.get(path)).text
        assert text.count("no broker answers (30 accounts: account-0, account-1, account-2, …)") == 1


async def test_a_refused_login_is_the_only_cause() -> None:
    """Without a login there is no CometD session, which would say the same again in a word for programs."""
    missing = [
        Missing(name="login", reason="Web Services refuses the account's name or password", account="first"),
        Missing(name="cometd", reason="login-refused", account="first"),
        Missing(name="cometd", reason="unreachable", account="second"),
    ]
    async with console_side(readiness=lambda: missing) as browser:
        text = (await browser.get("/console")).text
    assert "refuses the account's name or password (account first)" in text
    assert "login-refused" not in text
    assert "unreachable (account second)" in text


async def test_a_cause_that_the_console_does_not_know_is_shown() -> None:
    """A new name in readiness appears as it is, without an explanation."""
    missing = [Missing(name="new-part", reason="not there", account=None)]
    async with console_side(readiness=lambda: missing) as browser:
        assert "new-part: not there" in (await browser.get("/console")).text


def holding(seconds: float) -> SessionView:
    """A session that has held events for so many seconds."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return CONNECTED.model_copy(update={"state": "holding", "held_events": 5, "held_since": since})


@pytest.mark.parametrize(
    "view", [CONNECTED.model_copy(update={"state": "opening"}), holding(60)], ids=["opening", "held"]
)
async def test_overview_does_not_call_a_broken_session_flowing(view: SessionView) -> None:
    """A session that is not connected, or has held events for long, is reported though the bridge counts as ready."""
    async with console_side(session_views=lambda: [view]) as browser:
        text = (await browser.get("/console")).text
    assert "Partly flowing" in text
    assert "0 of 1 connected" in text
    assert "Everything is flowing" not in text


async def test_overview_calls_a_session_connected_while_its_batch_is_on_the_way_to_kafka() -> None:
    """Each reply's events wait for Kafka for some milliseconds. This is no trouble, so the overview doesn't flicker."""
    async with console_side(session_views=lambda: [holding(0.02)]) as browser:
        text = (await browser.get("/console")).text
    assert "Everything is flowing" in text
    assert "1 of 1 connected" in text
    assert "holding" not in text


async def test_overview_of_a_replica_that_stands_by() -> None:
    """A ready replica without accounts is no fault: it stands by, and shows who relays."""
    fleet = FleetView(
        replicas=[ReplicaView(name="other", slots=[0], accounts=["first"], since=datetime.now(UTC))],
        slots=[SlotView(slot=0, replica="other", accounts=["first"]), SlotView(slot=1, replica=None, accounts=["x"])],
    )
    sources = {"in_fleet": True, "replica": "me"}
    async with console_side(fleet_view=lambda: fleet, sources=sources) as browser:
        overview, sessions = await browser.get("/console"), await browser.get("/console/sessions")
    assert "Standing by" in overview.text
    assert "1 without an owner" in overview.text
    assert "replica me" in overview.text
    assert "No replica owns slot 1 . Nobody relays x" in sessions.text.replace("slot 1.", "slot 1 .")


async def test_overview_counts_overdue_operations(browser: Browser) -> None:
    """Operations without an acknowledgement are counted, and the number leads to their list."""
    for number in range(3):
        await submitted(browser, referenceId=f"late-{number}")
    browser.api.operations.change("late-1", "timed-out")
    page = await browser.get("/console")
    assert "2 waiting" in page.text
    assert "1 overdue" in page.text
    listed = await browser.get("/console/operations?status=timed-out")
    assert "late-1" in listed.text
    assert "late-0" not in listed.text


async def test_overview_before_the_ledger_is_read(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the operations are being read, the overview works and says so; the list says it too."""

    def unread(*_: object, **__: object) -> None:
        raise LedgerUnread("The bridge is still reading earlier operations from Kafka. Try again later.")

    monkeypatch.setattr(browser.api.operations, "counts", unread)
    monkeypatch.setattr(browser.api.operations, "list", unread)
    overview, listed = await browser.get("/console"), await browser.get("/console/operations")
    assert (overview.status, listed.status) == (200, 503)
    assert "being read from Kafka" in overview.text
    assert "still reading earlier operations" in listed.text


async def test_overview_draws_the_last_minutes() -> None:
    """Each interval with something in it has a bar, the newest at the right edge."""
    intervals = [Interval(0, Counts(0, 5, 0, 0)), Interval(5, Counts(0, 0, 0, 0)), Interval(10, Counts(0, 10, 0, 2))]
    async with console_side(sources={"rates": lambda: intervals}) as browser:
        page = await browser.get("/console")
    bars = [(one["x"], one["height"]) for one in page.parsed.all("rect")]
    assert bars == [("228.0", "24.0"), ("236.0", "48.0"), ("236.0", "48.0")]
    assert "15 · 2/s now · peak 2/s" in page.text


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


# -- phone numbers ----------------------------------------------------------------------------------------------------


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


# -- gaps and dead letters, sessions ----------------------------------------------------------------------------------

GAP = Gap(
    account="first",
    session="0123456789abcdef",
    previous_session="fedcba9876543210",
    start="2026-01-01T12:00:00.000Z",
    end="2026-01-01T12:00:30.000Z",
    reason="unknown-client",
    at="2026-01-01T12:00:30.100Z",
)
REFUSED = RefusedRecord(
    account="first",
    reason="too-large",
    topic="user-events.v1",
    size=2_000_000,
    event_type="gws.user-event.v1",
    event_id="0123456789abcdef-7",
    at="2026-01-01T12:00:31.000Z",
    partition=2,
    offset=17,
)


async def test_gaps_and_dead_letters_are_told_with_since_when() -> None:
    """Both are listed with what a person needs to look further, and the page says from when on it knows."""
    view = IncidentsView(since="2025-12-31T12:01:00.000Z", gaps=[GAP], refused=[REFUSED], most=200)
    async with console_side(incidents=view) as browser:
        page, overview = await browser.get("/console/incidents"), await browser.get("/console")
    for part in ("as far back as 2025-12-31 12:01:00", "unknown-client", "fedcba9876543210", "2026-01-01 12:00:30"):
        assert part in page.text
    for part in ("too-large", "user-events.v1", "2,000,000", "2:17", "0123456789abcdef-7"):
        assert part in page.text
    assert "1 gap " in overview.text
    assert "1 record " in overview.text


async def test_unread_topic_is_not_told_as_no_gaps() -> None:
    """While the topics are being read, or can't be read, no page says that there was nothing."""
    for view, words in (
        (IncidentsView(reading=True), "being read"),
        (IncidentsView(failing="not authorised"), "not authorised"),
        (IncidentsView(reading=True, failing="not authorised"), "not authorised"),
    ):
        async with console_side(incidents=view) as browser:
            page, overview = await browser.get("/console/incidents"), await browser.get("/console")
        assert words in page.text
        tiles = overview.text.partition("Gaps, last 24 h")[2].partition("The last 5 minutes")[0]
        assert "none" not in tiles
        assert tiles.split()[:2] == ["…", "gaps"]


async def test_sessions_page_has_each_session(browser: Browser) -> None:
    """Each session is shown with its state, guarantee and last reply."""
    text = (await browser.get("/console/sessions")).text
    for part in ("first connected", "exactly-once", "0123456789abcdef", "ago"):
        assert part in text


async def test_evidence_is_offered_where_the_api_has_it(browser: Browser) -> None:
    """Without the route of the REST API there is no link to evidence, and no page."""
    await submitted(browser)
    page = await browser.get("/console/operations/r1")
    assert not [link for link in page.parsed.links() if "evidence" in link]
    assert (await browser.get("/console/evidence/r1")).status == 404
