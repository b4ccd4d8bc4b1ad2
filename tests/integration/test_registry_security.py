"""A schema registry behind TLS that asks who comes, in front of the real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bridge.errors import RegistryUnavailable
from bridge.registry.client import SchemaRegistry
from bridge.registry.subjects import Found, Subject, subjects
from bridge.settings import Kafka, Registry
from tests.certificates import Authority
from tests.real import RealRegistry
from tests.serving import serving
from tests.tls_terminator import TlsTerminator

USER, PASSWORD = "bridge", "ledger-of-schemas"
TYPE = "application/vnd.schemaregistry.v1+json"


@asynccontextmanager
async def guarded(registry: RealRegistry, authority: Authority) -> AsyncIterator[str]:
    """A proxy that lets only USER with PASSWORD and a certificate through to the registry; yields its URL."""
    context = authority.server(authority.issue("registry", hosts=("127.0.0.1",)), ask_clients=True)
    async with aiohttp.ClientSession() as client:

        async def forward(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != aiohttp.encode_basic_auth(USER, PASSWORD):
                return web.json_response({"error_code": 401, "message": "Unauthorized"}, status=401)
            url = f"{registry.url}{request.rel_url}"
            body = await request.read()
            async with client.request(request.method, url, data=body, headers={"Content-Type": TYPE}) as reply:
                return web.Response(status=reply.status, body=await reply.read(), content_type=reply.content_type)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", forward)
        async with serving(app) as plain:
            with TlsTerminator(plain, context) as terminator:
                yield terminator.url


async def test_the_right_proof(real_registry: RealRegistry, tmp_path: Path) -> None:
    """With its authority, a client certificate, user and password the bridge registers its schemas and finds them."""
    authority = Authority(tmp_path)
    async with guarded(real_registry, authority) as url:
        registry = SchemaRegistry(settings(url, authority))
        subject = any_subject(tmp_path.name)
        assert await registry.look(subject) is Found.MISSING
        known = await registry.id_of(subject)
        assert await registry.look(subject) is Found.THERE
        assert await registry.avro_schema(known) == subject.schema


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": SecretStr("wrong")}, "refuses the bridge (401); check BRIDGE_KAFKA__REGISTRY__USERNAME"),
        ({"username": None, "password": None}, "refuses the bridge (401); check BRIDGE_KAFKA__REGISTRY__USERNAME"),
        ({"ssl_cafile": None}, "no TLS with the schema registry: the server's certificate comes from an authority"),
        (
            {"ssl_certfile": None, "ssl_keyfile": None, "ssl_password": None},
            "no TLS with the schema registry: the server asks for a client certificate, and none is set",
        ),
    ],
    ids=["wrong-password", "no-user", "unknown-authority", "no-client-certificate"],
)
async def test_the_wrong_proof(real_registry: RealRegistry, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    """Anything less is told in a sentence, and nothing is registered."""
    authority = Authority(tmp_path)
    async with guarded(real_registry, authority) as url:
        subject = any_subject(tmp_path.name)
        with pytest.raises(RegistryUnavailable) as refused:
            await SchemaRegistry(settings(url, authority, **changes)).id_of(subject)
        assert told in str(refused.value)
        assert await SchemaRegistry(settings(url, authority)).look(subject) is Found.MISSING


def settings(url: str, authority: Authority, **changes: Any) -> Registry:
    client = authority.issue("bridge", password="key-pa55word")
    values: dict[str, Any] = {
        "url": url,
        "username": USER,
        "password": SecretStr(PASSWORD),
        "ssl_cafile": authority.certificate,
        "ssl_certfile": client.certificate,
        "ssl_keyfile": client.key,
        "ssl_password": SecretStr("key-pa55word"),
        "request_timeout": 5,
    }
    return Registry(**(values | changes))


def any_subject(name: str) -> Subject:
    """One of the bridge's subjects, on a topic of the test's own."""
    kafka = Kafka(
        bootstrap_servers="127.0.0.1:1",
        topic_prefix=name.replace("_", "-"),
        format="avro-registry",
        registry=Registry(url="http://127.0.0.1:1"),
    )
    return subjects(kafka)[0]
