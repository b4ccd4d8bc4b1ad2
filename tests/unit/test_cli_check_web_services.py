"""What `bridge check` says of a Web Services that is none."""

from aiohttp import web
from pydantic import SecretStr

from bridge.commands.checks.finding import Outcome
from bridge.commands.checks.web_services import check_web_services
from bridge.settings import Account, WebServices, load
from tests.serving import serving

MEBIBYTE = 1 << 20


async def test_a_reply_that_is_too_long_is_cut() -> None:
    """The first reply may have as many bytes as any REST reply that the bridge takes; a longer one fails the URL."""
    sizes = iter([MEBIBYTE, MEBIBYTE + 1])

    async def me(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * next(sizes, 0))

    app = web.Application()
    app.router.add_get("/api/v2/me", me)
    async with serving(app) as url:
        environment = {
            "BRIDGE_WEB_SERVICES__URL": url,
            "BRIDGE_WEB_SERVICES__USERNAME": "agent",
            "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        }
        settings = load(environment=environment)
        found = [await anext(check_web_services(settings.web_services, settings.accounts[0])) for _ in range(2)]
    assert [one.outcome for one in found] == [Outcome.OK, Outcome.FAILED]
    assert f"longer than {MEBIBYTE} bytes)" in found[1].text


async def test_tls_to_a_port_without_tls() -> None:
    """An https URL of a server that speaks plain HTTP fails the URL, and the text names the URL and no CA file."""
    async with serving(web.Application()) as url:
        site = WebServices(url=url.replace("http:", "https:"), username="agent", password=SecretStr("secret"))
        account = Account(name="agent", username="agent", password=SecretStr("secret"))
        finding = await anext(check_web_services(site, account))
    assert finding.outcome is Outcome.FAILED
    assert "tls-not-spoken" in finding.text
    assert "http://" in finding.text
    assert "CA_FILE" not in finding.text
