"""The console on loopback before operations in memory, and a browser without scripts; a plugin of tests/conftest.py."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import aiohttp
import msgspec
import pytest_asyncio

from bridge.http import ConsoleSources, IncidentsView, SessionView, authentication_of
from bridge.settings import Authentication
from tests.unit.api import BODY, Api, rest_side

BLOCKS = {"dd", "div", "dt", "h1", "h2", "li", "main", "nav", "option", "p", "section", "td", "th"}
ACCOUNTS = ["first", "second"]
PHONE = "+15550102345"
CONNECTED = SessionView(
    account="first",
    session="0123456789abcdef",
    state="connected",
    ack_extension=True,
    guarantee="exactly-once",
    last_reply_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


class Parsed(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in BLOCKS:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def structure(self) -> list[tuple[str, tuple[str, ...]]]:
        """Each element with the names of its attributes. What comes from data can't change it."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self) -> list[str]:
        return [href for one in self.all("a") if (href := one.get("href")) is not None]

    def fields(self) -> dict[str, str]:
        """The values of the page's hidden and visible inputs, by name."""
        return {name: one.get("value") or "" for one in self.all("input") if (name := one.get("name"))}


@dataclass
class Page:
    """A response of the console."""

    status: int
    headers: Mapping[str, str]
    html: str
    parsed: Parsed = field(repr=False)

    @property
    def text(self) -> str:
        return self.parsed.text


@dataclass
class Browser:
    """Keeps cookies, and sends forms with the fields that the page had."""

    api: Api
    client: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> Page:
        return await self._page("GET", path, headers=headers)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Page:
        """Send fields, without a CSRF token unless it is one of them."""
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return await self._page("POST", path, data=urlencode(fields), headers=sent)

    async def send(self, path: str, page: str, **fields: str) -> Page:
        """Load `page` for its CSRF token, and send the fields to `path` with it."""
        token = (await self.get(page)).parsed.fields()["csrf"]
        return await self.post(path, {"csrf": token} | fields)

    async def follow(self, page: Page) -> Page:
        """Go where a redirect leads."""
        assert page.status == 303, page.text
        return await self.get(page.headers["Location"])

    async def _page(self, method: str, path: str, **options: Any) -> Page:
        url = urljoin(self.api.url, path)
        assert urlsplit(url).netloc == urlsplit(self.api.url).netloc
        async with self.client.request(method, url, allow_redirects=False, **options) as reply:
            html = await reply.text()
            return Page(reply.status, reply.headers, html, Parsed(html))


async def _evidence(reference: str) -> bytes:
    return msgspec.json.encode({"subject": reference})


@contextlib.asynccontextmanager
async def console_side(
    *, incidents: IncidentsView | None = None, sources: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Browser]:
    """Serve REST API and console; `sources` go to `ConsoleSources`, `options` to `create_app`."""
    usual = {"accounts": lambda: ACCOUNTS, "incidents": lambda: incidents or IncidentsView()}
    own = ConsoleSources(**(usual | dict(sources or {})))
    async with (
        rest_side(**({"console_sources": own, "evidence": _evidence} | options)) as api,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
    ):
        yield Browser(api, client)


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser at a console whose only session is connected."""
    async with console_side(session_views=lambda: [CONNECTED]) as browser:
        yield browser


async def submitted(browser: Browser, **changes: object) -> None:
    """Submit an operation by the REST API, with `changes` of its body."""
    await browser.api.post(BODY | {"phoneNumber": PHONE} | changes)


def tokens(directory: Path, **scopes: str) -> Any:
    """An authentication that knows a token of each name, with these scopes."""
    lines = [f"{name}:{hashlib.sha256(name.encode()).hexdigest()}:{scope}" for name, scope in scopes.items()]
    path = directory / "tokens"
    path.write_text("\n".join(lines))
    return authentication_of(Authentication(method="tokens", tokens_file=path))
