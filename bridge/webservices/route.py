"""Makes the `Route` (certificates and proxy) from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from bridge.cometd import Route

if TYPE_CHECKING:
    from bridge.settings import WebServices


def route_of(site: WebServices) -> Route:
    """Return the certificates and the proxy of the settings."""
    login = None
    if site.proxy_username is not None and site.proxy_password is not None:
        login = aiohttp.encode_basic_auth(site.proxy_username, site.proxy_password.get_secret_value())
    return Route(
        ca_file=site.ca_file,
        certificate_file=site.client_cert_file,
        key_file=site.client_key_file,
        key_password=None if site.client_key_password is None else site.client_key_password.get_secret_value(),
        proxy=site.proxy,
        proxy_authorization=login,
    )
