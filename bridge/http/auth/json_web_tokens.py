"""JSON Web Tokens (RFC 7519, RFC 9068) of an identity provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jwt

from bridge.http.auth.authentication import Caller, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.http.auth.signing_keys import SigningKeys

LEEWAY: Final = 30
"""Seconds that the provider's clock may be apart from this one."""
LONGEST_NAME: Final = 256
_NO_TOKEN: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What the library raises for a token that is none; its own errors leave out deep nesting and infinite times."""


class JsonWebTokens:
    """Tokens that `issuer` signed for `audience`, with one of `algorithms` (asymmetric ones) and a key of `keys`."""

    scheme: Mapping[str, Any] | None = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of the site's identity provider.",
    }

    def __init__(self, keys: SigningKeys, *, issuer: str, audience: str, algorithms: Sequence[str]) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = list(algorithms)

    async def caller(self, token: str) -> Caller:
        """Check the token and tell its `sub` (else `client_id`, `azp`) and its scopes (`scope`, else `scp`)."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:  # before the keys are asked: a guess costs nothing
                raise InvalidToken
            kid = header.get("kid")
            key = await self._keys.get(kid if isinstance(kid, str) else None)
            if key is None:
                raise InvalidToken
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except _NO_TOKEN:
            raise InvalidToken from None
        return Caller(_name(claims), _scopes(claims))


def _name(claims: Mapping[str, Any]) -> str:
    for claim in ("sub", "client_id", "azp"):
        name = claims.get(claim)
        # Not printable are lone surrogates too, which no event can hold.
        if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable():
            return name
    raise InvalidToken


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Read a list, or a text with spaces between: providers do either."""
    told = claims.get("scope", claims.get("scp"))
    if isinstance(told, str):
        return frozenset(told.split())
    return frozenset(one for one in told if isinstance(one, str)) if isinstance(told, list) else frozenset()
