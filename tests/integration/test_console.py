"""The console in Chromium, served by a bridge between the real CometD server and the real Kafka."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import USERS, Site
from tests.page import DEVICE_PATH, REQUEST
from tests.real import KafkaServer, RealWebServices, require_real_parts
from tests.tools.required import require_tool

TOKENS = {"desk": "operations:read,operations:write", "audit": "operations:read,operations:read-personal"}
PAGES = ["/console", "/console/operations", "/console/submit", "/console/incidents", "/console/sessions"]
NUMBER = "+15550102345"
WITHIN = 30_000
"""Milliseconds that an expectation may take on a busy machine."""
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest_asyncio.fixture(scope="module")
async def bridge(real_kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BridgeProcess]:
    """A bridge whose callers need tokens, and whose console has been used a little."""
    require_real_parts()
    directory = tmp_path_factory.mktemp("console")
    tokens = directory / "tokens"
    lines = [f"{name}:{hashlib.sha256(name.encode()).hexdigest()}:{scopes}\n" for name, scopes in TOKENS.items()]
    tokens.write_text("".join(lines))
    web = RealWebServices()
    await web.start(users=USERS)
    async with web, Site(real_kafka, web, directory) as site:
        yield await site.ready_bridge(
            HTTP__AUTHENTICATION__METHOD="tokens", HTTP__AUTHENTICATION__TOKENS_FILE=str(tokens)
        )


@pytest_asyncio.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    path = require_tool("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def visitor(chromium: Browser, bridge: BridgeProcess, **options: Any) -> AsyncIterator[Page]:
    """A page of a new browser profile. At the end nothing was blocked, failed or asked by a dialog."""
    context = await chromium.new_context(
        base_url=bridge.url, **({"viewport": {"width": 1280, "height": 900}} | options)
    )
    context.set_default_timeout(WITHIN)
    page = await context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    yield page
    await context.close()
    expected = "Failed to load resource: the server responded with a status of 4"
    assert [one for one in troubles if not one.startswith(expected)] == []


async def refreshed(page: Page) -> None:
    """Wait until the page has refreshed itself once more."""
    async with page.expect_response(lambda response: "hx-request" in response.request.headers):
        pass


async def sign_in(page: Page, token: str = "desk") -> None:
    await page.goto("/console")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()


async def submit(page: Page, reference: str, **fields: str) -> None:
    await page.goto("/console/submit")
    values = {
        "Application ID": str(REQUEST["applicationId"]),
        "Campaign": str(REQUEST["campaignName"]),
        "Calling list": str(REQUEST["callingList"]),
        "Device path": DEVICE_PATH,
        "Record handle": "13",
        "Phone number": NUMBER,
        "Reference ID": reference,
    }
    for label, value in (values | fields).items():
        await page.get_by_label(label).first.fill(value)
    await page.get_by_role("button", name="Submit DoNotCallRecord").click()


async def faults_of(page: Page) -> list[str]:
    """The serious findings of axe-core, without those that are only a matter of taste."""
    results = await Axe().run(page)
    found = results.response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]


async def test_operator_uses_each_page_and_form(bridge: BridgeProcess, chromium: Browser) -> None:
    """Sign-in, submission, live outcome, search, a number asked for, submission again and sign-out work."""
    async with visitor(chromium, bridge) as page:
        await sign_in(page, "wrong")
        await expect(page.get_by_role("alert").filter(has_text="invalid")).to_be_visible()
        await sign_in(page)
        await expect(page.get_by_role("heading", name="Everything is flowing")).to_be_visible(timeout=WITHIN)

        await submit(page, "console-1")
        await expect(page.get_by_role("status")).to_contain_text("The REST API answers 200")
        await expect(page.locator(".timeline")).to_contain_text("acknowledged", timeout=WITHIN)
        await expect(page.locator("#live")).to_contain_text(".acknowledgements.v1", timeout=WITHIN)
        assert NUMBER not in await page.content()
        await page.get_by_role("button", name="Show numbers").click()
        await expect(page.locator("pre")).to_contain_text(NUMBER)
        assert await faults_of(page) == []

        await page.get_by_role("link", name="Submit again").click()
        await page.get_by_label("New reference ID").fill("console-2")
        assert await faults_of(page) == []
        await page.get_by_role("button", name="Submit again").click()
        await expect(page.locator("#live")).to_contain_text("13", timeout=WITHIN)

        await page.get_by_role("link", name="Operations", exact=True).click()
        await page.get_by_label("Phone number").fill("+1 (555) 010-2345")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_role("link", name="console-2")).to_be_visible()
        assert NUMBER not in page.url

        await page.goto("about:blank")
        await page.set_content(f'<a href="{bridge.url}/console/operations/console-1">a link in a ticket</a>')
        await page.get_by_role("link").click()
        await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()


async def test_wrong_form_is_told_beside_its_field(bridge: BridgeProcess, chromium: Browser) -> None:
    """A field that the API refuses is marked, and keeps its value."""
    async with visitor(chromium, bridge) as page:
        await sign_in(page)
        await submit(page, "console-wrong", **{"Device path": "no-path"})
        await expect(page.get_by_role("alert").filter(has_text="422")).to_be_visible()
        await expect(page.get_by_label("Device path")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("Device path")).to_have_value("no-path")
        assert await faults_of(page) == []


@pytest.mark.parametrize(
    "options",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"viewport": {"width": 400, "height": 800}, "color_scheme": "light"},
        {"viewport": {"width": 400, "height": 800}, "color_scheme": "dark"},
    ],
    ids=["light", "dark", "narrow", "narrow-dark"],
)
async def test_pages_are_accessible_and_fit(bridge: BridgeProcess, chromium: Browser, options: dict[str, Any]) -> None:
    """axe-core finds nothing serious on any page, light or dark, and at 400 px nothing is wider than the window."""
    async with visitor(chromium, bridge, **options) as page:
        await page.goto("/console/sign-in")
        assert await faults_of(page) == []
        await sign_in(page, "audit")
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        for path in [path for path in PAGES if path != "/console/submit"]:
            await page.goto(path)
            assert await faults_of(page) == [], path
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


async def test_console_works_by_keyboard(bridge: BridgeProcess, chromium: Browser) -> None:
    """Sign-in, navigation and submission need no mouse, and a refresh does not take the focus away."""
    async with visitor(chromium, bridge) as page:
        await page.goto("/console")
        await page.keyboard.type("desk")  # the field has the focus
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        focused = page.locator("#tile-sessions")
        await expect(focused).to_be_focused()
        for _ in range(2):
            await refreshed(page)
        await expect(focused).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Sessions and fleet")).to_be_visible()
        link = page.get_by_role("link", name="Submit", exact=True)
        while not await link.evaluate("element => element === document.activeElement"):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.get_by_label("Record handle").focus()
        for value in ("13", NUMBER, "134", "Campaign1", "CallingList1"):
            await page.keyboard.type(value)
            await page.keyboard.press("Tab")
        await page.keyboard.type(DEVICE_PATH)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Submitted")


async def test_console_works_without_scripts(bridge: BridgeProcess, chromium: Browser) -> None:
    """Without JavaScript every form works, and a reload shows the outcome."""
    async with visitor(chromium, bridge, java_script_enabled=False) as page:
        await sign_in(page)
        await submit(page, "console-no-script")
        await expect(page.get_by_role("status")).to_contain_text("Submitted")
        async with page.expect_navigation():
            await page.get_by_role("link", name="Refresh now").click()
        await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
        await page.goto("/console/operations?status=acknowledged")
        await expect(page.get_by_role("heading", name="Operations")).to_be_visible()


async def test_hostile_texts_run_nothing(bridge: BridgeProcess, chromium: Browser) -> None:
    """Texts that look like HTML stay texts in every field, on every page that shows them."""
    async with visitor(chromium, bridge) as page:
        await sign_in(page)
        fields = dict.fromkeys(("Campaign", "Calling list", "Phone number"), HOSTILE)
        await submit(page, HOSTILE, **fields)
        await expect(page.get_by_role("status")).to_contain_text("Submitted")
        for path in ("/console", "/console/operations"):
            await page.goto(path)
            await expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
            await refreshed(page)
            assert await page.locator("img, main script").count() == 0
        await page.get_by_role("link", name=HOSTILE).click()
        await expect(page.locator("pre")).to_contain_text("<script>alert(2)</script>")


async def test_open_pages_do_not_hold_up_the_stop(bridge: BridgeProcess, chromium: Browser) -> None:
    """With a page open the bridge stops as fast as ever, and the page says that it is no longer up to date."""
    context = await chromium.new_context(base_url=bridge.url)
    page = await context.new_page()
    await sign_in(page)
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await refreshed(page)
    ended = await bridge.terminate(within=15)
    assert ended.status == 0
    await expect(page.locator("#stale")).to_contain_text("The bridge does not answer", timeout=WITHIN)
    await context.close()
