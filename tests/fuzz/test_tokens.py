"""Documents of signing keys, JSON Web Tokens, and files of static tokens."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SettingsError
from bridge.http.auth.authentication import Caller, InvalidToken
from bridge.http.auth.json_web_tokens import JsonWebTokens
from bridge.http.auth.signing_keys import SigningKeys
from bridge.http.auth.static_tokens import StaticTokens
from bridge.http.problems.problems import Refused
from tests.fuzz.budget import fuzzed
from tests.fuzz.raw_server import RawServer, answer
from tests.fuzz.strategies import bodies, damages, encoded, mutated, sweep

if TYPE_CHECKING:
    from pathlib import Path

ISSUER, AUDIENCE = "https://id.example/", "bridge"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
OKP = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "k3", "use": "sig"}


def public(key: Any, algorithm: str, kid: str) -> dict[str, Any]:
    """The entry of a key in a document of keys."""
    entry = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    entry.pop("key_ops", None)
    return {**entry, "kid": kid, "use": "sig"}


GOOD = public(RSA, "RS256", "good")
DOCUMENT: dict[str, Any] = {"keys": [public(EC, "ES256", "k2") | {"alg": "ES256"}, OKP, GOOD]}
HEADER: dict[str, Any] = {"alg": "RS256", "typ": "JWT", "kid": "good"}


def claims() -> dict[str, Any]:
    """The claims of a valid token."""
    return {
        "iss": ISSUER,
        "aud": [AUDIENCE],
        "sub": "crm",
        "exp": int(time.time()) + 600,
        "iat": int(time.time()),
        "scope": "operations:write operations:read",
    }


def signed(header: bytes, payload: bytes) -> str:
    """A token whose signature is right, whatever stands in it."""
    parts = [base64.urlsafe_b64encode(one).rstrip(b"=") for one in (header, payload)]
    signature = RSA.sign(b".".join(parts), padding.PKCS1v15(), hashes.SHA256())
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def asked(document: bytes, *tokens: str) -> list[Caller | None]:
    """Who sent these tokens, by a document of keys; None where the token, or the document, proves nothing."""
    found: list[Caller | None] = []
    async with RawServer(lambda _, __: answer(document)) as server:
        keys = SigningKeys(f"{server.url}/jwks")
        tokens_of = JsonWebTokens(keys, issuer=ISSUER, audience=AUDIENCE, algorithms=["RS256", "ES256", "EdDSA"])
        for token in tokens:
            try:
                caller = await tokens_of.caller(token)
            except (InvalidToken, Refused):
                found.append(None)
            else:
                assert caller.name is not None
                caller.name.encode()  # the name goes into the ledger and the log
                found.append(caller)
    return found


def valid_token() -> str:
    return signed(encoded(HEADER), encoded(claims()))


@fuzzed(100)
@given(bodies(DOCUMENT))
def test_no_document_of_keys_ends_more_than_a_login(document: bytes) -> None:
    """Whatever the identity provider publishes, a token is taken, refused, or can't be told now (503)."""
    asyncio.run(asked(document, valid_token(), "x"))


def test_one_odd_key_leaves_the_others_good() -> None:
    """Each member of one key may hold each odd value: the keys beside it go on to count."""

    async def main() -> None:
        for entry in DOCUMENT["keys"][:2]:
            for name, odd in sweep(entry):
                document = b'{"keys":[' + (odd or b"null") + b"," + encoded(GOOD) + b"]}"
                [caller] = await asked(document, valid_token())
                assert caller is not None, name

    asyncio.run(main())


def test_each_odd_value_in_a_token_is_refused_or_gives_a_name() -> None:
    """Each claim and each header may hold each odd value, rightly signed: it names a caller or proves nothing."""
    tokens = [signed(encoded(HEADER), payload) for _, payload in sweep(claims())]
    tokens += [signed(header, encoded(claims())) for _, header in sweep(HEADER)]
    found = asyncio.run(asked(encoded(DOCUMENT), *tokens))
    assert any(found)


@fuzzed(100)
@given(mutated(HEADER), mutated(claims()), damages, st.booleans())
def test_no_token_is_more_than_refused(header: Any, payload: Any, damage: Any, as_bytes: bool) -> None:  # noqa: FBT001
    """A token with anything in its parts names a caller or proves nothing."""
    token = signed(encoded(header), damage(encoded(payload)))
    if as_bytes:
        token = damage(token.encode()).decode("latin-1")
    asyncio.run(asked(encoded(DOCUMENT), token))


TOKENS = f"# callers\ncrm:{hashlib.sha256(b'a token').hexdigest()}\nlist:{'0' * 64}:operations:read\n".encode()


@fuzzed(150)
@given(st.lists(damages, min_size=1, max_size=2))
def test_a_damaged_file_of_tokens_is_a_wrong_setting(tmp_path_factory: Any, applied: list[Any]) -> None:
    """A file of static tokens is read, or refused as a setting with a text that repeats nothing of it."""
    content = TOKENS
    for damage in applied:
        content = damage(content)
    path: Path = tmp_path_factory.getbasetemp() / "tokens"
    path.write_bytes(content)
    try:
        tokens = StaticTokens(path)
    except SettingsError as error:
        assert hashlib.sha256(b"a token").hexdigest() not in str(error)  # noqa: PT017 -- it may be read
        return
    with suppress(InvalidToken):
        caller = asyncio.run(tokens.caller("a token"))
        assert hmac.compare_digest(caller.name or "", (caller.name or "").encode().decode())
