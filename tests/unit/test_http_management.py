"""Health and metrics on a port of their own."""

import socket

import aiohttp
import pytest

from bridge.errors import SettingsError
from bridge.http import Missing, create_management_app, serve
from tests.unit.api import rest_side
from tests.unit.served import served

MOVED = ["/health/live", "/health/ready", "/metrics"]


async def test_management_moves_altogether() -> None:
    """With a port of their own, health and metrics are there, and nothing else; and no longer beside the operations."""
    async with rest_side(management=False) as api:
        for path in MOVED:
            assert (await api.get(path)).status == 404
        assert (await api.get("/operations")).status == 200
    async with served(create_management_app(list)) as url, aiohttp.ClientSession() as client:
        for path in (*MOVED, "/operations", "/sessions", "/openapi.json", "/docs"):
            async with client.get(f"{url}{path}") as reply:
                assert reply.status == (200 if path in MOVED else 404)


async def test_readiness_is_the_same_there() -> None:
    """What is missing is told on the management port as well."""
    app = create_management_app(lambda: [Missing(name="kafka", reason="not reachable")])
    async with served(app) as url, aiohttp.ClientSession() as client, client.get(f"{url}/health/ready") as reply:
        assert (reply.status, (await reply.json(content_type=None))["missing"][0]["name"]) == (503, "kafka")


async def test_taken_management_port_names_its_setting() -> None:
    """A management port that is taken stops the start under its own name."""
    app, setting = create_management_app(list), "BRIDGE_HTTP__MANAGEMENT_PORT"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError) as failed:
        await serve(app, "127.0.0.1", taken.getsockname()[1], ready=lambda _: None, setting=setting)
    assert failed.value.faults[0].startswith("BRIDGE_HTTP__MANAGEMENT_PORT: ")
