"""Makes the authentication that the settings choose."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from bridge.errors import SettingsError
from bridge.http.auth.authentication import Unauthenticated
from bridge.http.auth.static_tokens import StaticTokens

if TYPE_CHECKING:
    from bridge.http.auth.authentication import Authentication
    from bridge.settings import Authentication as Settings


def authentication_of(settings: Settings) -> Authentication:
    """Make the authentication that `method` names.

    The rules of the settings ensure that the values for this method are set.

    Raises:
        SettingsError: the file with tokens or CA certificates is not usable.
    """
    if settings.method == "tokens":
        assert settings.tokens_file is not None
        return StaticTokens(settings.tokens_file)
    if settings.method == "jwt":
        # Imported here, because the import of PyJWT takes 40 ms, and most sites have no identity provider.
        from bridge.http.auth.json_web_tokens import JsonWebTokens  # noqa: PLC0415
        from bridge.http.auth.signing_keys import SigningKeys  # noqa: PLC0415

        assert settings.jwks_url is not None
        assert settings.issuer is not None
        assert settings.audience is not None
        try:
            keys = SigningKeys(settings.jwks_url, cafile=settings.jwks_cafile)
        except (OSError, ssl.SSLError):
            text = "can't be read, or has no valid certificate"
            raise SettingsError(
                [f"BRIDGE_HTTP__AUTHENTICATION__JWKS_CAFILE: {text} ({settings.jwks_cafile})"]
            ) from None
        return JsonWebTokens(keys, issuer=settings.issuer, audience=settings.audience, algorithms=settings.algorithms)
    return Unauthenticated()
