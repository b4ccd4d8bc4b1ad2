"""The bridge and a Web Services behind TLS: own authorities, client certificates, proxies, and what goes wrong."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bridge.app import Bridge
from bridge.commands.checks.finding import Outcome
from bridge.commands.checks.web_services import check_web_services
from bridge.settings import load
from bridge.simulator import Simulator
from bridge.simulator.broker import EmbeddedBroker
from tests.certificates import Authority, Issued
from tests.tls_terminator import TlsTerminator

OPERATION = {
    "operationName": "DoNotCallRecord",
    "applicationId": 134,
    "campaignName": "Campaign1",
    "callingList": "CallingList1",
    "phoneNumber": "3001",
    "chainAttribute": "AllChain",
    "devicePath": "/devices/f32a46c4-8a48-4067-9965-537fc9788790",
}
PROXY_PASSWORD = "proxy-pa55word"


@dataclass
class Site:
    """A stand-in, TLS before it, and the settings that lead there."""

    upstream: Simulator
    tls: TlsTerminator
    authority: Authority
    settings: dict[str, str] = field(default_factory=dict)

    def given(self, changed: dict[str, Any]) -> dict[str, str]:
        return self.settings | {f"BRIDGE_{name}": str(value) for name, value in changed.items()}

    async def check(self, **changed: Any) -> dict[str, tuple[Outcome, str]]:
        """What `bridge check` finds of Web Services, by subject."""
        settings = load(environment=self.given(changed))
        found = check_web_services(settings.web_services, settings.accounts[0])
        return {one.subject: (one.outcome, one.text) async for one in found}


@pytest_asyncio.fixture
async def site(shared_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Site]:
    authority = Authority(tmp_path)
    own = authority.issue("web-services", hosts=("127.0.0.1",))
    async with Simulator(username="agent") as upstream:
        with TlsTerminator(upstream.url, authority.server(own)) as tls:
            settings = {
                "BRIDGE_WEB_SERVICES__URL": tls.url,
                "BRIDGE_WEB_SERVICES__USERNAME": "agent",
                "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
                "BRIDGE_WEB_SERVICES__CA_FILE": str(authority.certificate),
                "BRIDGE_WEB_SERVICES__REQUEST_TIMEOUT": "3",
                "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": shared_broker.bootstrap,
                "BRIDGE_KAFKA__CHECK_CRCS": "false",
                "BRIDGE_HTTP__PORT": "0",
            }
            yield Site(upstream, tls, authority, settings)


@dataclass
class Running:
    """A bridge, and what it answers."""

    url: str
    http: aiohttp.ClientSession

    async def ready(self, words: str = '"ready"') -> None:
        """Wait until /health/ready holds the words."""
        async with asyncio.timeout(20):
            while True:
                async with self.http.get(f"{self.url}/health/ready") as reply:
                    if words in await reply.text():
                        return
                await asyncio.sleep(0.05)

    async def mark(self) -> tuple[int, dict[str, Any]]:
        """Mark a record; return status and body."""
        path = f"{self.url}/api/v2/me/outbound-records/13"
        async with self.http.post(path, json=OPERATION, headers={"Prefer": "wait=5"}) as reply:
            return reply.status, await reply.json(content_type=None)


@asynccontextmanager
async def running(environment: dict[str, str]) -> AsyncIterator[Running]:
    stop = asyncio.Event()
    listening = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(Bridge(load(environment=environment)).run(stop, listening=listening.set_result))
    try:
        async with aiohttp.ClientSession() as http:
            yield Running(await asyncio.wait_for(listening, 20), http)
    finally:
        stop.set()
        await work


def client_certificate(issued: Issued) -> dict[str, Path]:
    return {"WEB_SERVICES__CLIENT_CERT_FILE": issued.certificate, "WEB_SERVICES__CLIENT_KEY_FILE": issued.key}


async def test_own_authority_and_client_certificate(site: Site) -> None:
    """With the site's authority and a client certificate, its key encrypted, operations and events flow."""
    site.tls.context = site.authority.server(
        site.authority.issue("web-services", hosts=("127.0.0.1",)), ask_clients=True
    )
    own = site.authority.issue("bridge", password="key-pa55word")
    changed = {**client_certificate(own), "WEB_SERVICES__CLIENT_KEY_PASSWORD": "key-pa55word"}
    assert {outcome for outcome, _ in (await site.check(**changed)).values()} == {Outcome.OK}
    async with running(site.given(changed)) as one:
        await one.ready()
        status, body = await one.mark()
        assert (status, body["status"]) == (200, "acknowledged")


@pytest.mark.parametrize(
    ("fault", "words", "setting"),
    [
        ("stranger", "tls-unknown-authority", "__CA_FILE"),
        ("other-host", "tls-other-host", "__CA_FILE"),
        ("expired", "tls-expired", "__CA_FILE"),
        ("wants-certificate", "tls-client-certificate-wanted", "__CLIENT_CERT_FILE"),
        ("refuses-certificate", "tls-client-certificate-refused", "__CLIENT_CERT_FILE"),
        ("expired-certificate", "tls-client-certificate-expired", "__CLIENT_CERT_FILE"),
    ],
)
async def test_what_is_wrong_with_tls_is_told(site: Site, tmp_path: Path, fault: str, words: str, setting: str) -> None:
    """Each fault of TLS has its words in the check, in /health/ready, and in the problem that callers get at once."""
    stranger = Authority(tmp_path, "stranger")
    own, changed = site.authority, {}
    good = own.issue("web-services", hosts=("127.0.0.1",))
    match fault:
        case "stranger":
            changed = {"WEB_SERVICES__CA_FILE": stranger.certificate}
        case "other-host":
            site.tls.context = own.server(own.issue("web-services", hosts=("web.example",)))
        case "expired":
            site.tls.context = own.server(own.issue("web-services", hosts=("127.0.0.1",), expired=True))
        case "wants-certificate":
            site.tls.context = own.server(good, ask_clients=True)
        case "refuses-certificate":
            site.tls.context = own.server(good, ask_clients=True)
            changed = client_certificate(stranger.issue("bridge"))
        case "expired-certificate":
            site.tls.context = own.server(good, ask_clients=True)
            changed = client_certificate(own.issue("bridge", expired=True))
    outcome, text = (await site.check(**changed))["web services url"]
    assert (outcome, words in text, setting in text) == (Outcome.FAILED, True, True), text
    async with running(site.given(changed)) as one:
        await one.ready(words)
        status, body = await one.mark()
        assert (status, body["code"]) == (503, "upstream-unreachable")
        assert words in body["detail"]


async def test_a_renewed_certificate_is_used_without_a_restart(site: Site) -> None:
    """A bridge whose client certificate has expired gets ready by itself once the file holds a new one."""
    site.tls.context = site.authority.server(
        site.authority.issue("web-services", hosts=("127.0.0.1",)), ask_clients=True
    )
    old = site.authority.issue("bridge", expired=True)
    async with running(site.given({"WEB_SERVICES__CLIENT_CERT_FILE": old.both})) as one:
        await one.ready("tls-client-certificate-expired")
        old.both.write_bytes(site.authority.issue("bridge").both.read_bytes())
        await one.ready()


# -- proxies ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy that asks for a login; yields its address, and the request lines that it let through."""
    lines: list[str] = []
    tasks: list[asyncio.Task[None]] = []
    login = base64.b64encode(f"bridge:{PROXY_PASSWORD}".encode()).decode()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            sink.write(data)
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = [writer]
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if f"Proxy-Authorization: Basic {login}\r\n".encode() not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            line, _, rest = head.partition(b"\r\n")
            lines.append(line.decode())
            method, target, version = line.decode().split()
            address, _, path = target.removeprefix("http://").partition("/")
            host, _, port = address.rpartition(":")
            inside, outside = await asyncio.open_connection(host, int(port))
            opened.append(outside)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                outside.write(f"{method} /{path} {version}\r\nConnection: close\r\n".encode() + rest)
            await asyncio.gather(pump(reader, outside), pump(inside, writer))
        finally:
            for one in opened:
                one.close()
            await asyncio.gather(*(one.wait_closed() for one in opened), return_exceptions=True)

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(serve(reader, writer)))

    async with await asyncio.start_server(start, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lines
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("secure", [True, False])
async def test_everything_goes_through_the_proxy(site: Site, *, secure: bool) -> None:
    """With a proxy and a login there, requests go through it: by a tunnel to HTTPS, else in full."""
    async with proxy() as (url, lines):
        changed = {
            "WEB_SERVICES__URL": site.tls.url if secure else site.upstream.url,
            "WEB_SERVICES__PROXY": url,
            "WEB_SERVICES__PROXY_USERNAME": "bridge",
            "WEB_SERVICES__PROXY_PASSWORD": PROXY_PASSWORD,
        }
        assert {outcome for outcome, _ in (await site.check(**changed)).values()} == {Outcome.OK}
        assert {line.split()[0] for line in lines} == ({"CONNECT"} if secure else {"GET", "POST"})


@pytest.mark.parametrize("secure", [True, False])
async def test_a_proxy_that_refuses_is_told(site: Site, *, secure: bool) -> None:
    """A proxy that does not take the login is named, with the settings to look at, and without the password."""
    async with proxy() as (url, _):
        found = await site.check(
            WEB_SERVICES__URL=site.tls.url if secure else site.upstream.url,
            WEB_SERVICES__PROXY=url,
            WEB_SERVICES__PROXY_USERNAME="bridge",
            WEB_SERVICES__PROXY_PASSWORD="wrong-pa55word",
        )
    outcome, text = found["web services url"]
    assert (outcome, "BRIDGE_WEB_SERVICES__PROXY" in text, "pa55word" in text) == (Outcome.FAILED, True, False)
    assert "proxy-refused: the proxy answers with HTTP 407" in text
