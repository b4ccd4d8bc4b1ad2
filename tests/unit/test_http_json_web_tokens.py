"""JSON Web Tokens: what is checked, and how the provider's keys are fetched."""

import asyncio
import base64
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi import FastAPI, Response

from bridge.http import authentication_of
from bridge.http.auth import signing_keys
from bridge.http.auth.authentication import InvalidToken, Unauthenticated
from bridge.http.auth.json_web_tokens import JsonWebTokens
from bridge.http.auth.signing_keys import FRESH, LARGEST, SOONEST, STALE, SigningKeys
from bridge.http.problems.problems import Refused
from bridge.settings import Authentication
from tests.unit.api import rest_side
from tests.unit.served import served

ISSUER, AUDIENCE = "https://id.example/", "bridge"
RSA, OTHER_RSA = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, kid: str | None, **members: str) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name("ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256")
    entry = json.loads(algorithm.to_jwk(key.public_key()))
    entry.pop("key_ops", None)
    return {**entry, **({"kid": kid} if kid is not None else {}), **members}


@dataclass
class Provider:
    """An identity provider's published keys, and how often they were asked for."""

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [public(RSA, "k1"), public(EC, "k2", alg="ES256", use="sig")])
    asked: int = 0
    answer: Response | None = None
    now: float = 1000.0
    """What the clock of the keys under test says, in seconds."""


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    provider, app = Provider(), FastAPI()

    @app.get("/jwks")
    async def jwks() -> Response:
        provider.asked += 1
        return provider.answer or Response(json.dumps({"keys": provider.keys}))

    async with served(app) as url:
        provider.url = f"{url}/jwks"
        yield provider


@pytest.fixture
def tokens(provider: Provider) -> JsonWebTokens:
    keys = SigningKeys(provider.url, clock=lambda: provider.now)
    return JsonWebTokens(keys, issuer=ISSUER, audience=AUDIENCE, algorithms=("RS256", "ES256"))


def claims(**changes: Any) -> dict[str, Any]:
    told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "crm", "exp": time.time() + 60, "scope": "operations:write x"}
    return {name: value for name, value in (told | changes).items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "k1", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid is not None else {})


def forged(header: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in (header, claims())]
    return ".".join([base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts] + [""])


def encoded(header: bytes) -> str:
    """Return a token of this header, with claims and signature that nobody comes to."""
    return f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.e30.AAAA"


def signed(members: bytes, whole: bytes | None = None) -> str:
    """Return a token that the provider's own key signed, whose claims no JSON library would write."""
    told = json.dumps({"iss": ISSUER, "aud": AUDIENCE}).encode()[:-1]
    payload = whole if whole is not None else told + b"," + members + b"}"
    return jwt.api_jws.encode(payload, RSA, "RS256", headers={"kid": "k1"})


async def test_good_token_names_its_caller(tokens: JsonWebTokens) -> None:
    """A token of the right issuer, audience, time and key tells the caller and its scopes."""
    for one in (token(), token(EC, "ES256", "k2"), token(aud=["other", AUDIENCE])):
        caller = await tokens.caller(one)
        assert (caller.name, caller.scopes) == ("crm", frozenset({"operations:write", "x"}))


@pytest.mark.parametrize(
    ("changes", "name", "scopes"),
    [
        ({"sub": None, "client_id": "c", "azp": "a"}, "c", {"operations:write", "x"}),
        ({"sub": None, "azp": "a"}, "a", {"operations:write", "x"}),
        ({"scope": None, "scp": "operations:read"}, "crm", {"operations:read"}),
        ({"scope": ["operations:read", 1]}, "crm", {"operations:read"}),
        ({"scope": None}, "crm", set()),
        ({"scope": 1}, "crm", set()),
    ],
)
async def test_providers_differ(tokens: JsonWebTokens, changes: dict[str, Any], name: str, scopes: set[str]) -> None:
    """The caller may be in client_id or azp, the scopes in scp, as a list or as a text."""
    caller = await tokens.caller(token(**changes))
    assert (caller.name, caller.scopes) == (name, frozenset(scopes))


BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: token(exp=time.time() - 60),
    "not yet": lambda: token(nbf=time.time() + 60),
    "no expiry": lambda: token(exp=None),
    "other issuer": lambda: token(iss="https://other.example/"),
    "no issuer": lambda: token(iss=None),
    "other audience": lambda: token(aud="other"),
    "no audience": lambda: token(aud=None),
    "nobody": lambda: token(sub=None),
    "empty name": lambda: token(sub=""),
    "another's key": lambda: token(OTHER_RSA),
    "unknown key": lambda: token(OTHER_RSA, kid="k9"),
    "no key id among several": lambda: token(kid=None),
    "key of another kind": lambda: token(EC, "ES256", "k1"),
    "algorithm not allowed": lambda: token(algorithm="RS512"),
    "no algorithm": lambda: forged({"alg": "none", "kid": "k1"}),
    "odd key id": lambda: forged({"alg": "RS256", "kid": ["k1"]}),
    "algorithm of an odd type": lambda: forged({"alg": ["RS256"], "kid": "k1"}),
    "huge key id": lambda: forged({"alg": "RS256", "kid": "k" * 1_000_000}),
    "key id with a lone surrogate": lambda: forged({"alg": "RS256", "kid": "\ud800"}),
    "critical header": lambda: forged({"alg": "RS256", "kid": "k1", "crit": [{}]}),
    "header that is no object": lambda: encoded(b'["RS256"]'),
    "header nested deep": lambda: encoded(b'{"alg":' + b"[" * 100_000),
    "header with a huge number": lambda: encoded(b'{"alg":' + b"9" * 100_000 + b"}"),
    "endless expiry": lambda: signed(b'"exp":1e999'),
    "endless start": lambda: signed(b'"exp":99999999999,"nbf":-1e999'),
    "expiry of an odd type": lambda: token(exp={"at": 1}),
    "issuer of an odd type": lambda: signed(b'"exp":99999999999,"iss":[]'),
    "audience of an odd type": lambda: token(aud={"aud": AUDIENCE}),
    "claims nested deep": lambda: signed(b'"exp":99999999999,"x":' + b"[" * 50_000 + b"]" * 50_000),
    "claims that are no object": lambda: signed(b"", b"[]"),
    "name with a lone surrogate": lambda: signed(b'"exp":99999999999,"sub":"\\ud800"'),
    "name with a control character": lambda: token(sub="crm\x1b[2J"),
    "no token": lambda: "a.b.c",
    "changed": lambda: token()[:-8] + "AAAAAAAA",
}


@pytest.mark.parametrize("bad", BAD)
async def test_bad_token_proves_nothing(tokens: JsonWebTokens, bad: str) -> None:
    """A token that is wrong in any one way is nobody's."""
    with pytest.raises(InvalidToken):
        await tokens.caller(BAD[bad]())


async def test_public_key_is_no_shared_secret(tokens: JsonWebTokens) -> None:
    """A token that is signed by HMAC with the public key as its secret (algorithm confusion) proves nothing."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signing_input = forged({"alg": "HS256", "kid": "k1", "typ": "JWT"}).rstrip(".")
    signature = jwt.get_algorithm_by_name("HS256").sign(signing_input.encode(), pem)
    with pytest.raises(InvalidToken):
        await tokens.caller(f"{signing_input}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")


async def test_wrong_algorithm_costs_no_fetch(tokens: JsonWebTokens, provider: Provider) -> None:
    """A token whose algorithm is not allowed is refused before anybody is asked for keys."""
    with pytest.raises(InvalidToken):
        await tokens.caller(forged({"alg": "none"}))
    assert provider.asked == 0


async def test_only_key_needs_no_id(tokens: JsonWebTokens, provider: Provider) -> None:
    """Where the provider has one key, a token need not name it."""
    provider.keys = [public(RSA, None)]
    assert (await tokens.caller(token(kid=None))).name == "crm"


# The keys


async def test_keys_are_fetched_once(tokens: JsonWebTokens, provider: Provider) -> None:
    """Keys are fetched once for many callers at the same time, and again only when they are no longer fresh."""
    await asyncio.gather(*(tokens.caller(token()) for _ in range(20)))
    provider.now += FRESH
    await tokens.caller(token())
    assert provider.asked == 1
    provider.now += 1
    await tokens.caller(token())
    assert provider.asked == 2


async def test_new_key_is_found(tokens: JsonWebTokens, provider: Provider) -> None:
    """A key that is not known yet is looked for at the provider, but not oftener than the bound, whoever asks."""
    await tokens.caller(token())
    provider.keys.append(public(OTHER_RSA, "k3"))
    for _ in range(3):
        with pytest.raises(InvalidToken):
            await tokens.caller(token(OTHER_RSA, kid="k3"))
    assert provider.asked == 1
    provider.now += SOONEST
    assert (await tokens.caller(token(OTHER_RSA, kid="k3"))).name == "crm"
    assert provider.asked == 2


async def test_withdrawn_key_ends(tokens: JsonWebTokens, provider: Provider) -> None:
    """A key that the provider no longer publishes counts no longer, at the latest when the keys are fetched again."""
    await tokens.caller(token())
    del provider.keys[0]
    provider.now += FRESH + 1
    with pytest.raises(InvalidToken):
        await tokens.caller(token())


ODD: list[Any] = [
    None,
    7,
    [],
    {},
    {"kty": ["RSA"], "kid": "x"},
    {"kty": {"RSA": 1}, "kid": "x"},
    {"kty": "RSA", "kid": {"x": 1}, "n": "AQAB", "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": 7, "e": [], "alg": "RS256"},
    {"kty": "RSA", "kid": "x", "n": "", "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": "A" * 30_000, "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": "\ud800", "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": "AQAB", "e": "AQAB", "alg": ["RS256"]},
    {"kty": "RSA", "kid": "x", "n": "AQAB", "e": "AQAB", "d": 1, "oth": [1]},
    {"kty": "EC", "kid": "x", "crv": ["P-256"], "x": None, "y": 1},
    {"kty": "EC", "kid": "x", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
    {"kty": "OKP", "kid": "x", "crv": "Ed25519", "x": "AA", "d": {}},
    {"kty": "RSA", "use": ["sig"], "kid": "x"},
    {"kty": "RSA", "use": {"sig": 1}, "key_ops": 7, "x5c": [[[]]]},
]


@pytest.mark.parametrize(
    "odd",
    [
        *(json.dumps(one) for one in ODD),
        '{"kty": "RSA", "kid": "x", "n": ' + "9" * 5_000 + "}",
        "[" * 20_000 + "]" * 20_000,
        '{"a":' * 8_000 + "1" + "}" * 8_000,
    ],
)
async def test_one_odd_key_takes_no_other_away(tokens: JsonWebTokens, provider: Provider, odd: str) -> None:
    """A key of odd types, with a long number or deep nesting, in whatever place, leaves the other keys usable."""
    good = [json.dumps(one) for one in provider.keys]
    nested = '{"kty": "RSA", "kid": "y", "x\\"5c": ' + odd + "}"
    provider.answer = Response(f'{{"x": {odd}, "keys": [{odd}, {good[0]}, {nested}, {good[1]}, {odd}]}}')
    for one in (token(), token(EC, "ES256", "k2")):
        assert (await tokens.caller(one)).name == "crm"


@pytest.mark.parametrize(
    "answer",
    [
        Response("[" * 100_000),
        Response('"' + '\\"' * 100_000),
        Response("{" + '"keys":[{' * 20_000),
        Response("]" * 100_000),
        Response('{"keys": [' + "9" * 100_000 + "]}"),
        Response(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}),
        Response(b"\xff\xfe\x00"),
        Response('{"keys": []}', headers={"Set-Cookie": "a{b}=c"}),
        Response(status_code=500),
        Response("<html>"),
        Response("[]"),
        Response('{"keys": [1, {"kty": "oct", "k": "AA"}, {"kty": "RSA"}]}'),
        Response(b" " * (LARGEST + 1)),
        Response(status_code=302, headers={"Location": "/elsewhere"}),
    ],
)
async def test_provider_that_is_away(tokens: JsonWebTokens, provider: Provider, answer: Response) -> None:
    """While the provider gives no keys, those fetched before count for a while, and then nobody can be let in: 503."""
    await tokens.caller(token())
    provider.answer = answer
    provider.now += STALE
    assert (await tokens.caller(token())).name == "crm"
    provider.now += SOONEST
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await tokens.caller(token())
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "10"})
    assert provider.asked == 3
    provider.answer = None
    provider.now += SOONEST
    assert (await tokens.caller(token())).name == "crm"


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\n\r\n{", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 500_000, b"\x00" * 500]
)
async def test_provider_that_hangs_or_talks_nonsense(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A provider that never ends its answer, or answers no HTTP, costs a caller the deadline and gives a 503."""
    monkeypatch.setattr(signing_keys, "DEADLINE", 0.2)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await ended.wait()
        writer.transport.abort()

    ended = asyncio.Event()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        keys = SigningKeys(f"http://127.0.0.1:{port}/jwks")
        with pytest.raises(Refused) as refused:
            await keys.get("k1")
        ended.set()
    assert (refused.value.status, refused.value.code) == (503, "signing-keys-unavailable")


async def test_token_opens_the_rest_side(provider: Provider) -> None:
    """With the settings' own authentication a caller gets in by its token, and its name is in the ledger."""
    settings = Authentication(method="jwt", jwks_url=provider.url, issuer=ISSUER, audience=AUDIENCE)
    async with rest_side(authentication=authentication_of(settings)) as api:
        assert (await api.post(Authorization=f"Bearer {token()}")).status == 200
        assert [one.requested_by for one, _ in api.operations.submissions] == ["crm"]
        assert (await api.get("/operations", Authorization=f"Bearer {token()}")).status == 403
        assert (await api.post(Authorization=f"Bearer {token(OTHER_RSA)}")).status == 401


def test_no_method_asks_nobody() -> None:
    """Without a method there is no authentication."""
    assert isinstance(authentication_of(Authentication()), Unauthenticated)
