"""Seals texts that are published but meant for the bridge alone, and opens what earlier processes have sealed."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from bridge.delivery.seal import SALT_BYTES, Seal, Unsealable, derive

if TYPE_CHECKING:
    from pydantic import SecretStr


class Vault:
    """Of one account: the key comes from its password, with a salt for each process that lies before what it sealed."""

    def __init__(self, account: str, password: SecretStr) -> None:
        self._account = account
        self._password = password
        self._own: Seal | None = None
        self._seals: dict[bytes, Seal] = {}

    @property
    def ready(self) -> bool:
        """Whether it can seal."""
        return self._own is not None

    async def start(self) -> None:
        """Derive the key to seal with."""
        self._own = await derive(self._password, self._account)
        self._seals[self._own.salt] = self._own

    def seal(self, plain: bytes) -> str:
        """Return the sealed text in base64."""
        if self._own is None:
            raise RuntimeError("seal() before start()")
        return base64.b64encode(self._own.salt + self._own.seal(plain)).decode()

    async def open(self, sealed: str) -> bytes:
        """Return the plaintext; the first one of another process costs 0.1 s.

        Raises:
            Unsealable: another password, another account, or damage.
        """
        try:
            content = base64.b64decode(sealed, validate=True)
        except binascii.Error:
            raise Unsealable("it is not base64") from None
        salt = content[:SALT_BYTES]
        if salt not in self._seals:
            self._seals[salt] = await derive(self._password, self._account, salt)
        return self._seals[salt].open(content[SALT_BYTES:])
