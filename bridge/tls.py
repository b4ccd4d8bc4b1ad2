"""TLS as a client: builds the context from the settings' files, and names handshake failures by stable words.

When the bridge refuses the server, OpenSSL gives a verification code. When the server refuses the bridge, the server
sends an alert, with TLS 1.3 only after the client has finished the handshake. Alerts are vague (Java sends "certificate
unknown" for an expired certificate), so this module also checks whether the client certificate has expired.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

FAILED: Final = "tls-failed"
FILES: Final = "tls-files"
NOT_SPOKEN: Final = "tls-not-spoken"
TEXTS: Final = {
    "tls-unknown-authority": "the server's certificate comes from an authority that is not trusted here",
    "tls-other-host": "the server's certificate is for another host name",
    "tls-expired": "the server's certificate has expired",
    "tls-not-yet-valid": "the server's certificate is not valid yet",
    "tls-invalid": "the server's certificate is not valid",
    "tls-client-certificate-wanted": "the server asks for a client certificate, and none is set",
    "tls-client-certificate-expired": "the server refuses the client certificate, which has expired",
    "tls-client-certificate-refused": "the server refuses the client certificate",
    NOT_SPOKEN: "the server does not speak TLS at this port",
    FILES: "a certificate or key file can't be used",
    FAILED: "the TLS handshake failed",
}
"""The explanation of each word, without a capital letter and a full stop."""

# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_VERIFICATION: Final = {
    9: "tls-not-yet-valid",
    10: "tls-expired",
    18: "tls-unknown-authority",  # self-signed
    19: "tls-unknown-authority",
    20: "tls-unknown-authority",
    21: "tls-unknown-authority",
    62: "tls-other-host",
    64: "tls-other-host",  # an IP address
}
_PLAIN_TEXT: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
# RFC 8446, section 6.2. A TLS 1.2 server sends HANDSHAKE_FAILURE if it wanted a client certificate and got none.
_REFUSALS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
_in_use: Final[WeakValueDictionary[Hashable, ssl.SSLContext]] = WeakValueDictionary()
"""The contexts that connections use now. The system's authorities take 0.9 MB in each context, and with hundreds of
accounts there are hundreds of callers."""


class UnusableFiles(OSError):
    """A certificate or key file can't be used. `authorities` is True for the CA file, False for the client's files."""

    def __init__(self, text: str, *, authorities: bool = False) -> None:
        super().__init__(text)
        self.authorities = authorities


def client_context(
    *,
    ca_file: Path | None = None,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
    password: str | None = None,
) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and host name, and sends the client's certificate if given.

    Without `ca_file` the system's authorities are trusted. `certificate_file` may contain the key too. `password`
    decrypts the key. Callers with the same arguments share a context until one of the files changes. So don't change
    the context.

    Raises:
        UnusableFiles: a file can't be used; the message says why.
    """
    authorities = ca_file or ssl.get_default_verify_paths().cafile
    key = (*map(_version, (authorities, certificate_file, key_file)), ca_file is None, password)
    context = _in_use.get(key)
    if context is None:
        context = _in_use[key] = _new_context(ca_file, certificate_file, key_file, password)
    return context


def _version(file: Path | str | None) -> Hashable:
    """Return a value that changes when the file changes."""
    if file is None:
        return None
    try:
        found = Path(file).stat()
    except OSError:
        return str(file)
    return str(file), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _new_context(
    ca_file: Path | None, certificate_file: Path | None, key_file: Path | None, password: str | None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise UnusableFiles(f"holds no certificate that can be read ({_plain(error)})", authorities=True) from None
    if certificate_file is not None:
        try:
            # The callback always returns a password, because OpenSSL would otherwise ask for one at the terminal.
            context.load_cert_chain(certificate_file, key_file, lambda: password or "")
        except (OSError, ValueError) as error:
            raise UnusableFiles(
                f"its certificate and key can't be loaded; do both match, and is the password right? ({_plain(error)})"
            ) from None
    return context


def fault(error: BaseException, certificate_file: Path | None = None) -> str | None:
    """Return the key of `TEXTS` that names a TLS failure, None for any other failure.

    `certificate_file` is the client certificate, if one is set.
    """
    # Only OpenSSL's errors have `reason` and `verify_code`. Errors that Python itself raises lack both.
    for one in reversed(list(_chain(error))):  # the cause first: aiohttp wraps it in an SSLError without `reason`
        if isinstance(one, UnusableFiles):
            return FILES
        if isinstance(one, ssl.SSLCertVerificationError):
            return _VERIFICATION.get(getattr(one, "verify_code", 0), "tls-invalid")
        if isinstance(one, ssl.SSLError) and not isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return _handshake(getattr(one, "reason", None) or "", certificate_file)
    return None


def _handshake(reason: str, certificate_file: Path | None) -> str:
    if reason in _PLAIN_TEXT:
        return NOT_SPOKEN
    if "ALERT" not in reason or not any(word in reason for word in _REFUSALS):
        return FAILED
    if certificate_file is None:
        return "tls-client-certificate-wanted"
    return "tls-client-certificate-expired" if _expired(certificate_file) else "tls-client-certificate-refused"


def _expired(certificate_file: Path) -> bool:
    from cryptography import x509  # noqa: PLC0415 -- 60 ms of each start, for a refusal that most sites never see

    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError):
        return False
    return certificate.not_valid_after_utc < datetime.now(UTC)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__  # httpcore sets no __cause__ for a failed handshake


def _plain(error: Exception) -> str:
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    if reason:
        return str(reason).lower().replace("_", " ")
    return getattr(error, "strerror", None) or type(error).__name__
