"""Decrypts and verifies data from version 0.1.0, so that an update does not lose the CometD session.

Version 0.1.0 used the same keys for positions and requests, so an encrypted request can also be decrypted as a
position. For this reason the caller must check the plaintext.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """The encrypted or signed data is damaged, or belongs to another password, account or purpose."""


class EarlierSeal:
    """The keys of version 0.1.0. `keys` is the output of scrypt: the cipher's key, followed by the signature's key."""

    def __init__(self, keys: bytes, account: str) -> None:
        self._cipher = AESGCM(keys[:_KEY_BYTES])
        self._signing_key = keys[_KEY_BYTES:]
        self._account = account.encode()

    def open(self, sealed: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            Unsealable: the data is damaged, or belongs to another password or account.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._account)
        except (InvalidTag, ValueError):
            raise Unsealable("the secret can't be decrypted with this account's password") from None

    def verify(self, content: bytes, signature: bytes) -> None:
        """Check the signature of the content.

        Raises:
            Unsealable: the signature belongs to other content, another password or another account.
        """
        signed = hmac.digest(self._signing_key, self._account + b"\0" + content, "sha256")
        if not hmac.compare_digest(signed, signature):
            raise Unsealable("the signature does not match the content and this account's password")
