"""Signs with an Ed25519 key: JSON Web Signatures (RFC 7515) with the algorithm EdDSA (RFC 8037).

The signature has the public key in its header, so a file can be verified without another file. This shows that the file
is unchanged since somebody signed it with that key. The reader must find out separately who owns the key: the owner
publishes the key's thumbprint (RFC 7638), or gives the reader a file with the public key.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from bridge.errors import UnusableInput
from bridge.settings import signing_key

if TYPE_CHECKING:
    from pathlib import Path

ALGORITHM: Final = "EdDSA"


class NotSigned(Exception):
    """A signature is not valid. The text says why."""


class Signer:
    """Signs with a private key."""

    def __init__(self, key: Ed25519PrivateKey, kind: str) -> None:
        """`kind` is written to the header, and names the kind of content, such as `bridge-evidence`."""
        self._key = key
        self._header = {"typ": f"{kind}+jws", "kid": thumbprint(key.public_key()), "jwk": _jwk(key.public_key())}

    @property
    def thumbprint(self) -> str:
        """The name of the key."""
        return str(self._header["kid"])

    def sign(self, content: dict[str, Any]) -> str:
        """Return the signature (compact, with the content in it)."""
        from jwt.api_jws import PyJWS  # noqa: PLC0415 -- a start of the bridge does without it

        return PyJWS().encode(msgspec.json.encode(content), self._key, algorithm=ALGORITHM, headers=self._header)


def signer_of(file: Path | None, kind: str) -> Signer | None:
    """Return the signer for the private key in a PEM file, or None if `file` is None.

    Raises:
        UnusableInput: the file can't be read, has no Ed25519 key, or its key needs a passphrase.
    """
    return None if file is None else Signer(private_key(file), kind)


def private_key(file: Path) -> Ed25519PrivateKey:
    """Return the private key in a PEM file.

    Raises:
        UnusableInput: the file can't be read, has no Ed25519 key, or its key needs a passphrase.
    """
    try:
        key = signing_key(file)
    except OSError as error:
        raise UnusableInput(f"{file} can't be read: {error.strerror}") from None
    if key is None:
        raise UnusableInput(
            f"{file} has no Ed25519 private key (PEM, without a passphrase); make one with: openssl genpkey -algorithm "
            "ed25519 -out FILE"
        )
    return key


def public_key(file: Path) -> Ed25519PublicKey:
    """Return the public key in a PEM file. The file may contain the private key instead.

    Raises:
        UnusableInput: the file can't be read, or has no Ed25519 key.
    """
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise UnusableInput(f"{file} can't be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        return private_key(file).public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise UnusableInput(f"{file} has no Ed25519 public key (PEM)")
    return key


def opened(signature: str, kind: str) -> tuple[dict[str, Any], Ed25519PublicKey]:
    """Verify a signature with the key in its header. Return the signature's content, and the key.

    Raises:
        NotSigned: the signature is not valid, or is of another kind.
    """
    from jwt.api_jws import PyJWS  # noqa: PLC0415 -- a start of the bridge does without it
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    # Several base64 texts decode to the same bytes. Without this check, `verify` could miss a changed character.
    if not all(_is_canonical(part) for part in signature.split(".")):
        raise NotSigned("the signature is not in its canonical form")
    try:
        header = PyJWS().get_unverified_header(signature)
        key = Ed25519PublicKey.from_public_bytes(_bytes_of(header["jwk"]["x"]))
        content = msgspec.json.decode(PyJWS().decode(signature, key, algorithms=[ALGORITHM]), type=dict[str, Any])
    except (PyJWTError, ValueError, KeyError, TypeError) as error:
        raise NotSigned(f"the signature is not valid ({type(error).__name__})") from None
    if header.get("typ") != f"{kind}+jws" or header.get("kid") != thumbprint(key):
        raise NotSigned("the signature's header does not fit")
    return content, key


def thumbprint(key: Ed25519PublicKey) -> str:
    """Return the name of a public key: its JWK thumbprint (RFC 7638, SHA-256, base64url)."""
    return _text_of(hashlib.sha256(msgspec.json.encode(_jwk(key), order="sorted")).digest())


def _jwk(key: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _text_of(key.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def _text_of(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes_of(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _is_canonical(part: str) -> bool:
    try:
        return _text_of(_bytes_of(part)) == part
    except ValueError:
        return False
