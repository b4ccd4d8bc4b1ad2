"""The keys of an account: a separate key for each purpose, all derived from the account's password.

The function scrypt (RFC 7914) with r = 8 and p = 1 derives two root keys, each once in a process. The costly key
(n = 2**15: 32 MiB, about 0.1 s) is for the operations topic, which many programs may read. The light key (n = 2**12:
4 MiB, about 0.01 s) is for the position topic, which only bridges need to read. Every account needs its light key
before its first poll, and a process may have a thousand accounts (docs/decisions, 13). HKDF-Expand (RFC 5869) derives
every other key from a root key, with the purpose in the label. So data that was sealed (encrypted) or signed for one
purpose is not valid for another purpose.

The salt of scrypt is a hash of the account's name and the topic prefix. So every process computes the salt, and never
uses a salt from a record, which might come from an attacker.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bridge.delivery.position.earlier_seal import SALT_BYTES, EarlierSeal, Unsealable

if TYPE_CHECKING:
    from pydantic import SecretStr

Purpose: TypeAlias = Literal["position", "costly-position", "request", "ledger"]
"""What a key is used for. `costly-position` is for positions of earlier versions, which had no light key."""

APPLICATION: Final = b"cometd-kafka-bridge"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
COSTLY: Final = 2**15
LIGHT: Final = 2**12
EARLIER_SALTS: Final = 8
"""Limit for the salts of version 0.1.0 that a process tries for an account. An attacker could write records with many
salts, and each salt costs 0.1 s of CPU time."""
_workers: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="key-derivation")
"""The threads that run scrypt. If many accounts start together, only two keys are derived at the same time."""


class AccountKeys:
    """The keys of an account, to seal (AES-256-GCM) and to sign (HMAC-SHA-256). `context` is the topic prefix."""

    def __init__(self, account: str, password: SecretStr, context: str = "") -> None:
        self.account = account
        self.salt: Final = hashlib.sha256(_joined(APPLICATION, context.encode(), account.encode())).digest()[
            :SALT_BYTES
        ]
        self._password = password
        self._roots: dict[int, bytes] = {}
        """The root keys, by their parameter n of scrypt."""
        self._signing: dict[Purpose, bytes] = {}
        self._earlier: dict[bytes, EarlierSeal] = {}
        self._deriving = asyncio.Lock()

    async def start(self, purpose: Purpose) -> None:
        """Derive the root key for `purpose`. The first call takes up to 0.1 s. Later calls return at once."""
        cost = _cost(purpose)
        if cost not in self._roots:
            async with self._deriving:
                if cost not in self._roots:
                    self._roots[cost] = await self._derived(self.salt, cost)

    def seal(self, purpose: Purpose, plain: bytes, subject: bytes = b"") -> bytes:
        """Encrypt `plain`. Only `open` with the same purpose and the same subject decrypts it.

        Returns a salt (16 bytes), a nonce (12 bytes) and the ciphertext. Each call uses a new salt, and therefore a new
        key. So AES-GCM's limit for the number of texts with one key does not apply.
        """
        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        return salt + nonce + self._cipher(purpose, salt).encrypt(nonce, plain, self._bound(purpose, subject))

    def open(self, purpose: Purpose, sealed: bytes, subject: bytes = b"") -> bytes:
        """Decrypt the result of `seal`, and return the plaintext.

        Raises:
            Unsealable: the data is damaged, or was sealed with another password, account, purpose or subject.
        """
        salt, nonce = sealed[:SALT_BYTES], sealed[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        try:
            return self._cipher(purpose, salt).decrypt(
                nonce, sealed[SALT_BYTES + NONCE_BYTES :], self._bound(purpose, subject)
            )
        except (InvalidTag, ValueError):
            raise Unsealable("the data was not encrypted for this purpose with this account's password") from None

    def sign(self, purpose: Purpose, *parts: bytes) -> bytes:
        """Return the signature (32 bytes) of content that is not encrypted."""
        key = self._signing.get(purpose)
        if key is None:
            key = self._signing[purpose] = self._key(b"sign", purpose)
        return hmac.digest(key, self._bound(purpose, *parts), "sha256")

    def verify(self, purpose: Purpose, signature: bytes, *parts: bytes) -> bool:
        """Return whether this account has signed the content for the purpose."""
        return hmac.compare_digest(self.sign(purpose, *parts), signature)

    async def earlier(self, salt: bytes) -> EarlierSeal:
        """Return the keys of version 0.1.0 for a salt from a record.

        Raises:
            Unsealable: the salt has a wrong length, or this process has already tried `EARLIER_SALTS` other salts.
        """
        if len(salt) != SALT_BYTES:
            raise Unsealable("the salt does not have 16 bytes")
        async with self._deriving:
            if salt not in self._earlier:
                if len(self._earlier) >= EARLIER_SALTS:
                    raise Unsealable(f"{EARLIER_SALTS} other salts were tried already")
                root = await self._derived(salt, COSTLY)
                self._earlier[salt] = EarlierSeal(root, self.account)
        return self._earlier[salt]

    def _cipher(self, purpose: Purpose, salt: bytes) -> AESGCM:
        return AESGCM(self._key(b"seal", purpose, salt))

    def _key(self, use: bytes, purpose: Purpose, salt: bytes = b"") -> bytes:
        root = self._roots.get(_cost(purpose))
        if root is None:
            raise RuntimeError(f"the account's keys are used before start({purpose!r})")
        return HKDFExpand(SHA256(), KEY_BYTES, _joined(APPLICATION, use, _label(purpose), salt)).derive(root)

    def _bound(self, purpose: Purpose, *parts: bytes) -> bytes:
        return _joined(_label(purpose), self.account.encode(), *parts)

    async def _derived(self, salt: bytes, cost: int) -> bytes:
        kdf = Scrypt(salt=salt, length=2 * KEY_BYTES, n=cost, r=8, p=1)
        password = self._password.get_secret_value().encode()
        return await asyncio.get_running_loop().run_in_executor(_workers, kdf.derive, password)


def _cost(purpose: Purpose) -> int:
    return LIGHT if purpose == "position" else COSTLY


def _label(purpose: Purpose) -> bytes:
    return b"position" if purpose == "costly-position" else purpose.encode()


def _joined(*parts: bytes) -> bytes:
    """Join the parts, each after its length (8 bytes), so that different parts never give the same bytes."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
