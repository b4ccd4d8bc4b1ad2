"""The keys of an account: a separate key for each purpose, all derived from the account's password.

The function scrypt (RFC 7914) with r = 8 and p = 1 derives two root keys, each once in a process. The costly key
(n = 2**15: 32 MiB, about 0.1 s) is for the operations topic, which many programs may read. The light key (n = 2**12:
4 MiB, about 0.01 s) is for the position topic, which only bridges need to read. Every account needs its light key
before its first poll, and a process may have a thousand accounts (docs/decisions, 13). HKDF-Expand (RFC 5869) derives
every other key from a root key, with the purpose in the label. So data that was sealed (encrypted) or signed for one
purpose is not valid for another purpose.

If the password changes while the process runs, new data is sealed and signed with the keys of the new password. Data
with the keys of the former password stays valid for `FORMER_AGE`. In this time the slot writes the position again,
operations end, and other replicas get the new password.

The salt of scrypt is a hash of the account's name and the topic prefix. So every process computes the salt, and never
uses a salt from a record, which might come from an attacker.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bridge.delivery.position.earlier_seal import SALT_BYTES, EarlierSeal, Unsealable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

Purpose: TypeAlias = Literal["position", "costly-position", "request", "ledger"]
"""The purpose of a key. `costly-position` is for positions of earlier versions, which had no light key."""

APPLICATION: Final = b"cometd-kafka-bridge"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
COSTLY: Final = 2**15
LIGHT: Final = 2**12
EARLIER_SALTS: Final = 8
"""Limit for the salts of version 0.1.0 that a process tries for an account. An attacker could write records with many
salts, and each salt costs 0.1 s of CPU time."""
FORMER_AGE: Final = 3600.0
"""Seconds for which data with the keys of the former password stays valid after a change. The time is short, because a
leaked former password could be used to forge data. It is long enough, because the bridge forwards no operation
that is older."""
AHEAD_INTERVAL: Final = 5.0
"""Seconds between two looks for keys that are not derived yet."""
_workers: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="key-derivation")
"""The threads that run scrypt. If many accounts start together, only two keys are derived at the same time."""


class AccountKeys:
    """The keys of an account, to seal (AES-256-GCM) and to sign (HMAC-SHA-256). `context` is the topic prefix."""

    def __init__(
        self, account: str, password: SecretStr, context: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.account = account
        self.salt: Final = hashlib.sha256(_joined(APPLICATION, context.encode(), account.encode())).digest()[
            :SALT_BYTES
        ]
        self._clock = clock
        self._present = _PasswordKeys(password)
        self._former: _PasswordKeys | None = None
        self._former_until = 0.0
        self._contexts: dict[Purpose, bytes] = {}
        """The first bytes of each text that is signed or sealed, by purpose."""
        self._earlier: dict[bytes, EarlierSeal] = {}
        self._deriving = asyncio.Lock()

    async def start(self, purpose: Purpose) -> None:
        """Derive the root key for `purpose`. The first call takes up to 0.1 s. Later calls return at once."""
        if not self.started(purpose):
            async with self._deriving:
                for keys in self._valid():
                    await keys.derive(self.salt, _cost(purpose))

    def started(self, purpose: Purpose) -> bool:
        """Return whether `start` has nothing to derive."""
        if self._former is None:
            return _cost(purpose) in self._present.roots
        return all(_cost(purpose) in keys.roots for keys in self._valid())

    async def change(self, password: SecretStr) -> None:
        """Use another password from now on. Data with the keys of the former password stays valid for `FORMER_AGE`."""
        new = _PasswordKeys(password)
        async with self._deriving:
            for cost in list(self._present.roots):
                await new.derive(self.salt, cost)  # so that no task waits for a key that existed before
            self._former, self._present = self._present, new
            self._former_until = self._clock() + FORMER_AGE

    def seal(self, purpose: Purpose, plain: bytes, subject: bytes = b"") -> bytes:
        """Encrypt `plain`. Only `open` with the same purpose and the same subject decrypts the result.

        Returns a salt (16 bytes), a nonce (12 bytes) and the ciphertext. Each call uses a new salt, and therefore a new
        key. So AES-GCM's limit for the number of texts with one key does not apply.
        """
        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        cipher = self._present.cipher(purpose, salt)
        return salt + nonce + cipher.encrypt(nonce, plain, self._bound(purpose, subject))

    def seal_unchanged(self, purpose: Purpose, plain: bytes) -> bytes:
        """Encrypt `plain` as `seal` does, once: while `plain` and the password stay the same, return the same result.

        The position of each transaction has the same secret, until the session or its cookies change. The result shows
        that the secret is the same as before, and nothing else. Another text gets another key, so no nonce is repeated.
        """
        last = self._present.sealed.get(purpose)
        if last is None or last[0] != plain:
            last = self._present.sealed[purpose] = plain, self.seal(purpose, plain)
        return last[1]

    def open(self, purpose: Purpose, sealed: bytes, subject: bytes = b"") -> bytes:
        """Decrypt the result of `seal`, and return the plaintext.

        Raises:
            Unsealable: the data is damaged, or was sealed with another password, account, purpose or subject.
        """
        salt, nonce = sealed[:SALT_BYTES], sealed[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        for keys in self._started(purpose):
            with suppress(InvalidTag, ValueError):
                return keys.cipher(purpose, salt).decrypt(
                    nonce, sealed[SALT_BYTES + NONCE_BYTES :], self._bound(purpose, subject)
                )
        raise Unsealable("the data was not encrypted for this purpose with this account's password")

    def sign(self, purpose: Purpose, *parts: bytes) -> bytes:
        """Return the signature (32 bytes) of content that is not encrypted."""
        return self._present.signature(purpose, self._bound(purpose, *parts))

    def verify(self, purpose: Purpose, signature: bytes, *parts: bytes) -> bool:
        """Return whether this account has signed the content for the purpose."""
        content = self._bound(purpose, *parts)
        return any(hmac.compare_digest(keys.signature(purpose, content), signature) for keys in self._started(purpose))

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
                self._earlier[salt] = EarlierSeal(await self._present.derived(salt, COSTLY), self.account)
        return self._earlier[salt]

    def _valid(self) -> list[_PasswordKeys]:
        """Return the keys of the present password, and the keys of the former password while these are valid."""
        if self._former is not None and self._clock() >= self._former_until:
            self._former = None
        return [self._present] if self._former is None else [self._present, self._former]

    def _started(self, purpose: Purpose) -> list[_PasswordKeys]:
        """Return the valid keys that are already derived, and always those of the present password."""
        if self._former is None:
            return [self._present]
        return [keys for keys in self._valid() if keys is self._present or _cost(purpose) in keys.roots]

    def _bound(self, purpose: Purpose, *parts: bytes) -> bytes:
        context = self._contexts.get(purpose)
        if context is None:
            context = self._contexts[purpose] = _joined(_label(purpose), self.account.encode())
        return context + _joined(*parts)


class _PasswordKeys:
    """The keys that come from one password."""

    def __init__(self, password: SecretStr) -> None:
        self._password = password
        self.roots: dict[int, bytes] = {}
        """The root keys, by their parameter n of scrypt."""
        self._signing: dict[Purpose, hmac.HMAC] = {}
        """An HMAC object with the key alone, by purpose. To copy it takes half as long as to make a new one."""
        self.sealed: dict[Purpose, tuple[bytes, bytes]] = {}
        """The last text that `seal_unchanged` has encrypted for a purpose, and the result."""

    async def derive(self, salt: bytes, cost: int) -> None:
        """Derive the root key of this cost, if it is not derived yet."""
        if cost not in self.roots:
            self.roots[cost] = await self.derived(salt, cost)

    async def derived(self, salt: bytes, cost: int) -> bytes:
        """Return the result of scrypt."""
        kdf = Scrypt(salt=salt, length=2 * KEY_BYTES, n=cost, r=8, p=1)
        password = self._password.get_secret_value().encode()
        return await asyncio.get_running_loop().run_in_executor(_workers, kdf.derive, password)

    def cipher(self, purpose: Purpose, salt: bytes) -> AESGCM:
        """Return the cipher for a text with this salt."""
        return AESGCM(self._key(b"seal", purpose, salt))

    def signature(self, purpose: Purpose, content: bytes) -> bytes:
        """Return the signature of the content."""
        begun = self._signing.get(purpose)
        if begun is None:
            begun = self._signing[purpose] = hmac.new(self._key(b"sign", purpose), digestmod=hashlib.sha256)
        signature = begun.copy()
        signature.update(content)
        return signature.digest()

    def _key(self, use: bytes, purpose: Purpose, salt: bytes = b"") -> bytes:
        root = self.roots.get(_cost(purpose))
        if root is None:
            raise RuntimeError(f"the account's keys are used before start({purpose!r})")
        return HKDFExpand(SHA256(), KEY_BYTES, _joined(APPLICATION, use, _label(purpose), salt)).derive(root)


async def derive_ahead(keys: Mapping[str, AccountKeys], *, idle: Callable[[], bool]) -> None:
    """Derive the keys for the positions of accounts that other replicas relay, one after the other, until cancelled.

    So a takeover of hundreds of accounts does not wait for their keys. The derivation begins when `idle` returns that
    this process has nothing more important to do.
    """
    while True:
        await asyncio.sleep(AHEAD_INTERVAL)
        if idle():
            for one in [*keys.values()]:
                await one.start("position")


def _cost(purpose: Purpose) -> int:
    return LIGHT if purpose == "position" else COSTLY


def _label(purpose: Purpose) -> bytes:
    return b"position" if purpose == "costly-position" else purpose.encode()


def _joined(*parts: bytes) -> bytes:
    """Join the parts, each with its length (8 bytes) before it, so that different parts never give the same bytes."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])
