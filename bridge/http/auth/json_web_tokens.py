"""Authentication by JSON Web Tokens (RFC 7519, RFC 9068) of an identity provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jwt

from bridge.http.auth.authentication import Caller, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.http.auth.signing_keys import SigningKeys

LEEWAY: Final = 30
"""Maximum difference between the provider's clock and this machine's clock, in seconds."""
LONGEST_NAME: Final = 256
_NO_TOKEN: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""Errors that PyJWT raises for an invalid token. For deep nesting or infinite times PyJWT raises other errors than
`PyJWTError`."""


class JsonWebTokens:
    """Accepts tokens that `issuer` has made for `audience`, and has signed with one of `keys`.

    The algorithm of the signature must be one of `algorithms`. All of these are asymmetric.
    """

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
        """Check the token, and return the caller. The name is `sub`, else `client_id`, else `azp`."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:  # checked first, to avoid a useless fetch of keys
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
        # `isprintable` also refuses lone surrogates, which can't be written into an event.
        if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable():
            return name
    raise InvalidToken


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes in `scope`, else in `scp`. Providers send a list, or a string with spaces between."""
    told = claims.get("scope", claims.get("scp"))
    if isinstance(told, str):
        return frozenset(told.split())
    return frozenset(one for one in told if isinstance(one, str)) if isinstance(told, list) else frozenset()
