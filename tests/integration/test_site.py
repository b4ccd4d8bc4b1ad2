"""The documentation site, opened as a file, as readers of a clone open it."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.tools.required import require_tool

ROOT = Path(__file__).parents[2]
BUILD_DEADLINE = 120
WITHIN = 15_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, timeout=BUILD_DEADLINE, check=True)
    return place


@pytest_asyncio.fixture
async def reader(site: Path) -> AsyncIterator[Page]:
    """A page that shows the site. At the end it has asked for nothing but files."""
    path = require_tool("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WITHIN)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"file://{site}/kafka-security.html")
        yield page
        await browser.close()
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


async def test_the_site_can_be_searched(reader: Page) -> None:
    """The search finds pages, also without a server."""
    await reader.locator("input[name=query]").fill("takeover")
    found = reader.locator(".md-search-result__item")
    await found.first.wait_for()
    assert "fleet.html" in " ".join([await one.get_attribute("href") or "" for one in await found.locator("a").all()])


async def test_no_line_is_below_the_copy_button(reader: Page) -> None:
    """The button that copies a block stands beside the block's lines, which scroll."""
    block = reader.locator("pre:has(> code)", has_text="--operation Write --topic gws.acknowledgements.v1").first
    await block.scroll_into_view_if_needed()
    code, button = (
        await block.locator("> code").bounding_box(),
        await block.locator(".md-clipboard, .md-code__nav").first.bounding_box(),
    )
    assert code is not None
    assert button is not None
    assert code["x"] + code["width"] <= button["x"]


async def test_code_is_highlighted(reader: Page) -> None:
    """Comments in a block of code have another colour than the code."""
    comment = reader.locator("pre .c1").first
    colour = "element => getComputedStyle(element).color"
    assert await comment.evaluate(colour) != await reader.locator("pre > code").first.evaluate(colour)
