"""The rules that hold for every page of the console, and the pages of gaps, dead letters and sessions."""

import pytest

from bridge.http import Gap, IncidentsView, RefusedRecord
from tests.unit.console_side import Browser, console_side, submitted

ALL_PAGES = [
    "/console",
    "/console/operations",
    "/console/operations/r1",
    "/console/submit",
    "/console/again/r1",
    "/console/incidents",
    "/console/sessions",
]


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
