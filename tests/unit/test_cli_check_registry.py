"""What `bridge check` and the start say of a schema registry's URL at which there is none."""

from aiohttp import web

from bridge.commands.checks.finding import Finding, Outcome
from bridge.commands.checks.registry import check_registry
from bridge.settings import Kafka, Registry
from tests.serving import serving


async def findings(url: str) -> list[Finding]:
    kafka = Kafka(bootstrap_servers="127.0.0.1:9", format="json-registry", registry=Registry(url=url))
    return [one async for one in check_registry(kafka)]


async def test_a_url_without_a_registry_fails() -> None:
    """A 404 that is no registry's own, as of a wrong path, fails and names the setting."""
    async with serving(web.Application()) as url:
        [finding] = await findings(url)
    assert finding.outcome is Outcome.FAILED
    assert "BRIDGE_KAFKA__REGISTRY__URL" in finding.text


async def test_a_registry_without_the_schemas_is_fine() -> None:
    """A 404 with a registry's code says that the subject is missing, and the bridge will register it."""

    async def missing(_: web.Request) -> web.Response:
        return web.json_response({"error_code": 40401, "message": "Subject not found."}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", missing)
    async with serving(app) as url:
        [finding] = await findings(url)
    assert finding.outcome is Outcome.OK
