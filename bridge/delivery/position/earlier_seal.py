"""How version 0.1.0 sealed and signed, to read what it has left behind: an update must not cost a session.

It used one pair of keys for positions and for requests alike, so what it sealed as the one opens as the other. Whoever
opens something here must prove by the plaintext itself what it is.
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
    """It was sealed or signed with another password, for another account or purpose, or it is damaged."""


class EarlierSeal:
    """Opens and verifies. `keys` is scrypt's output: the key of the cipher, then the key of the signature."""

    def __init__(self, keys: bytes, account: str) -> None:
        self._cipher = AESGCM(keys[:_KEY_BYTES])
        self._signing_key = keys[_KEY_BYTES:]
        self._account = account.encode()

    def open(self, sealed: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            Unsealable: another password, another account, or damage.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._account)
        except (InvalidTag, ValueError):
            raise Unsealable("the secret can't be opened with this account's password") from None

    def verify(self, content: bytes, signature: bytes) -> None:
        """Return if the signature is the content's.

        Raises:
            Unsealable: another password, another account, or other content.
        """
        signed = hmac.digest(self._signing_key, self._account + b"\0" + content, "sha256")
        if not hmac.compare_digest(signed, signature):
            raise Unsealable("the content is not what was signed with this account's password")
