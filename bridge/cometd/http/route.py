"""How an account's requests get to the server: with which certificates, and through which proxy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge import tls

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Route:
    """Nothing set: straight there, trusting the system's authorities.

    `proxy` is the URL of an HTTP proxy (it forwards plain requests, and opens tunnels by CONNECT for TLS);
    `proxy_authorization` is what it wants in the header of that name.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    proxy: str | None = None
    proxy_authorization: str | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Make a TLS context of what the files hold now.

        Raises:
            bridge.tls.UnusableFiles: saying what is wrong.
        """
        return tls.client_context(
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            password=self.key_password,
        )


DIRECT = Route()
