"""The certificates and the proxy of an account's requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge import tls

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Route:
    """Certificates and proxy. The default is a direct connection that trusts the system's authorities.

    `proxy` is the URL of an HTTP proxy. The proxy forwards plain HTTP requests, and opens a tunnel (CONNECT) for TLS.
    `proxy_authorization` is the value of the Proxy-Authorization header.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    proxy: str | None = None
    proxy_authorization: str | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Make a TLS context from the current content of the files.

        Raises:
            bridge.tls.UnusableFiles: a file can't be used; the message says why.
        """
        return tls.client_context(
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            password=self.key_password,
        )


DIRECT = Route()
