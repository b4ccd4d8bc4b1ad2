"""The overview of the console: whether everything flows, and why not."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import LedgerUnread
from bridge.http import FleetView, Missing, ReplicaView, SessionView, SlotView
from bridge.observability import Interval
from bridge.observability.rates import Counts
from tests.unit.console_side import CONNECTED, Browser, console_side, submitted


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


async def test_overview_counts_pending_and_timed_out_operations(browser: Browser) -> None:
    """Each number leads to the list of exactly these operations, and is named by the word that the list uses."""
    for number in range(4):
        await submitted(browser, referenceId=f"late-{number}")
    browser.api.operations.change("late-1", "timed-out")
    browser.api.operations.change("late-2", "requested")
    browser.api.operations.change("late-3", "acknowledged")
    page = await browser.get("/console")
    for count, status, listed in ((2, "pending", {"late-0", "late-2"}), (1, "timed-out", {"late-1"})):
        assert f"{count} {status}" in page.text
        [link] = [one for one in page.parsed.links() if f"status={status}" in one]
        found = await browser.get(link)
        assert {f"late-{number}" for number in range(4) if f"late-{number}" in found.text} == listed


async def test_overview_does_not_lead_to_an_empty_list(browser: Browser) -> None:
    """A number of operations is a link only if there are operations to list."""
    page = await browser.get("/console")
    assert "0 pending" in page.text
    assert "0 timed-out" in page.text
    assert not [one for one in page.parsed.links() if "status=" in one]


@pytest.mark.parametrize("path", ["/console", "/console/sessions"])
async def test_a_session_without_its_account_is_a_fault(path: str) -> None:
    """A session that the bridge still opens is amber, and red once readiness names its account."""
    opening = [CONNECTED.model_copy(update={"account": one, "state": "opening"}) for one in ("first", "second")]
    missing = [Missing(name="login", reason="Web Services refuses the account's name or password", account="first")]
    async with console_side(readiness=lambda: missing, session_views=lambda: opening) as browser:
        page = await browser.get(path)
    html = page.html.replace("1 opening", "opening")
    assert html.count('<span class="state bad">opening') == 1
    assert html.count('<span class="state waiting">opening') == 1


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
