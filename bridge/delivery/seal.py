"""Guards a position: its secret part (clientId, cookies) can't be read from the topic, its numbers can't be forged.

The keys come from the account's password by scrypt (RFC 7914) with a salt that lies beside the sealed secret, so there
is no further secret to manage. n = 2**15, r = 8, p = 1 takes 32 MiB and about 0.1 s, once a start.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

if TYPE_CHECKING:
    from pydantic import SecretStr

SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
"""Of the cipher's key, and of the signature's."""
NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """It was sealed with another password, for another account, or is damaged."""


class Seal:
    """Seals with AES-256-GCM, signs with HMAC-SHA-256. The account is part of both: nothing can be moved to another."""

    def __init__(self, salt: bytes, keys: bytes, account: str) -> None:
        self.salt = salt
        self._cipher = AESGCM(keys[:KEY_BYTES])
        self._signing_key = keys[KEY_BYTES:]
        self._account = account.encode()
        self._plain: bytes | None = None
        self._sealed = b""

    def seal(self, plain: bytes) -> bytes:
        """Nonce and ciphertext. The same plaintext as the last time gives the same bytes, without new work."""
        if plain != self._plain:
            nonce = os.urandom(NONCE_BYTES)
            self._sealed = nonce + self._cipher.encrypt(nonce, plain, self._account)
            self._plain = plain
        return self._sealed

    def open(self, sealed: bytes) -> bytes:
        """The plaintext.

        Raises:
            Unsealable: another password, another account, or damage.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._account)
        except (InvalidTag, ValueError):
            raise Unsealable("the secret can't be opened with this account's password") from None

    def sign(self, content: bytes) -> bytes:
        """The signature of content that lies in the open."""
        return hmac.digest(self._signing_key, self._account + b"\0" + content, "sha256")

    def verify(self, content: bytes, signature: bytes) -> None:
        """Return if the signature is the content's.

        Raises:
            Unsealable: another password, another account, or other content.
        """
        if not hmac.compare_digest(self.sign(content), signature):
            raise Unsealable("the content is not what was signed with this account's password")


async def derive(password: SecretStr, account: str, salt: bytes | None = None) -> Seal:
    """Derive the keys, in a thread; a fresh salt where none is given."""
    salt = salt or os.urandom(SALT_BYTES)
    kdf = Scrypt(salt=salt, length=2 * KEY_BYTES, n=2**15, r=8, p=1)
    keys = await asyncio.to_thread(kdf.derive, password.get_secret_value().encode())
    return Seal(salt, keys, account)
