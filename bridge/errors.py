"""Every error that the bridge raises on purpose, in one tree.

Each class has a stable `code` for problem+json, logs and metrics. Each message says what a person can do::

    BridgeError
    ├── SettingsError               a setting is missing or wrong; the bridge does not start
    │   └── AddressUnusable         the HTTP server can't listen on its address
    ├── CommandFailed               a command of the command line failed
    │   └── UnusableInput           the input or an argument of a command can't be used
    ├── UpstreamError               Web Services, over HTTP
    │   ├── UpstreamUnreachable     no connection
    │   ├── UpstreamTimeout         no answer within the deadline
    │   ├── UpstreamInvalidReply    an answer that is not valid (HTML, broken JSON, no statusCode)
    │   ├── UpstreamRejected        a statusCode other than 0
    │   ├── LoginRefused            the account's name or password is wrong, or the account is locked
    │   └── LoginNotKept            Web Services forgets each login at the next request
    ├── RelayEnded                  a relay ended without a stop, which is a bug; the process ends
    ├── UnknownAccount              the settings have no account of that name
    ├── OperationError              the REST side can't accept or find an operation
    │   ├── Busy                    too many operations are under way; try again later
    │   ├── Conflict                the referenceId belongs to another request
    │   ├── UnknownOperation        no operation has that referenceId
    │   ├── NumberSearchImpossible  the settings omit phone numbers, so nobody can search for one
    │   └── LedgerUnread            the operations in Kafka have not been read since the start
    ├── EvidenceError               evidence about a subject
    │   ├── NoSuchEvidence          no record is about the subject
    │   ├── TooMuchEvidence         the subject has more records than a bundle can hold
    │   └── TimestampRefused        the time-stamping authority can't be reached, or refuses
    ├── CometdError                 the CometD session
    │   └── ExchangeFailed          one HTTP exchange with the CometD server failed (network, status, body)
    └── DeliveryError               Kafka
        ├── KafkaUnavailable        not reachable, not authorised, or too slow; the bridge retries
        ├── RegistryUnavailable     the schema registry is not reachable, or refuses; the bridge retries
        ├── Fenced                  another bridge relays this account now; this relay ends
        └── InFlightUnwritable      `state_dir` can't be written (full, read-only)
"""

from __future__ import annotations

from typing import ClassVar, Final

UNDECODABLE: Final = (ValueError, RecursionError)
"""The errors of a decoder for bytes that are not UTF-8, not JSON, or not JSON of the expected type.

`UnicodeDecodeError`, `json.JSONDecodeError` and msgspec's `DecodeError` are ValueErrors."""


class BridgeError(Exception):
    """The base of all errors of the bridge. `str()` is a message for a person, without personal data."""

    code: ClassVar[str] = "bridge-error"


class SettingsError(BridgeError):
    """A setting is missing or wrong. Each line of `faults` describes one fault and names the variable."""

    code = "settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class AddressUnusable(SettingsError):
    """The HTTP server can't listen on the address in the settings. `errno` is the system's number, if there is one."""

    code = "address-unusable"

    def __init__(self, fault: str, *, errno: int | None) -> None:
        super().__init__([fault])
        self.errno = errno


class CommandFailed(BridgeError):
    """A command of the command line failed. The message says why, and what helps."""

    code = "command-failed"


class UnusableInput(CommandFailed):
    """The input or an argument of a command can't be used. The message says what to correct."""

    code = "unusable-input"


class UpstreamError(BridgeError):
    """A request to Web Services failed."""

    code = "upstream"


class UpstreamUnreachable(UpstreamError):
    """The bridge can't connect to Web Services. `sent` is True if the request may have reached the server.

    `fault` is a stable word if a person must repair something first (TLS, the proxy), and None for a temporary failure.
    """

    code = "upstream-unreachable"

    def __init__(self, message: str, *, sent: bool, fault: str | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.fault = fault


class UpstreamTimeout(UpstreamError):
    """Web Services did not answer within the deadline."""

    code = "upstream-timeout"


class UpstreamInvalidReply(UpstreamError):
    """Web Services, or a proxy in front of it, sent an invalid reply (HTML, broken JSON, no statusCode)."""

    code = "upstream-invalid-reply"

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class UpstreamRejected(UpstreamError):
    """Web Services answered with a statusCode other than 0.

    `status_message` is free text for the caller. It may quote device numbers, so it must not go to a log.
    """

    code = "upstream-rejected"

    def __init__(self, message: str, *, http_status: int, status_code: int, status_message: str | None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.status_code = status_code
        self.status_message = status_message


class LoginRefused(UpstreamError):
    """The account's name or password is wrong, or the account is locked."""

    code = "login-refused"


class LoginNotKept(UpstreamError):
    """Web Services forgets each login at the next request. The usual cause is a balancer that isn't sticky."""

    code = "login-not-kept"


class RelayEnded(BridgeError):
    """An account's relay ended without a stop. This is a bug, and it ends the process."""

    code = "relay-ended"


class UnknownAccount(BridgeError):
    """The settings have no account of the name that a caller gave."""

    code = "unknown-account"


class OperationError(BridgeError):
    """The REST side can't accept or find an operation."""

    code = "operation"


class Busy(OperationError):
    """Too many operations are under way, so this one was not forwarded. `retry_after` is in seconds."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(OperationError):
    """The referenceId belongs to another request, so this one was not forwarded."""

    code = "reference-conflict"


class UnknownOperation(OperationError):
    """No operation has that referenceId, or the operation is so old that the bridge has dropped it."""

    code = "unknown-operation"


class NumberSearchImpossible(OperationError):
    """A caller searches for a phone number, but the settings omit phone numbers."""

    code = "number-search-impossible"


class LedgerUnread(OperationError):
    """The bridge has not yet read the ledger (the operations in Kafka) since its start."""

    code = "ledger-unread"


class EvidenceError(BridgeError):
    """Evidence can't be made."""

    code = "evidence"


class NoSuchEvidence(EvidenceError):
    """No record is about the subject."""

    code = "no-evidence"


class TooMuchEvidence(EvidenceError):
    """The subject has more records than a bundle can hold."""

    code = "too-much-evidence"


class TimestampRefused(EvidenceError):
    """The time-stamping authority can't be reached, or gives no time stamp that fits the request."""

    code = "timestamp-refused"


class CometdError(BridgeError):
    """The CometD session failed."""

    code = "cometd"


class ExchangeFailed(CometdError):
    """One HTTP exchange with the CometD server failed. `reason` is a stable word for logs and metrics.

    `sent` is True if the request may have reached the server.
    """

    code = "cometd-exchange"

    def __init__(self, reason: str, detail: str = "", *, sent: bool = True) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.sent = sent


class DeliveryError(BridgeError):
    """Publishing to Kafka failed."""

    code = "delivery"


class KafkaUnavailable(DeliveryError):
    """Kafka is not reachable, does not authorise the bridge, or is too slow. The bridge retries until it works."""

    code = "kafka-unavailable"


class RegistryUnavailable(DeliveryError):
    """The schema registry is not reachable, or refuses a request. The bridge retries until it works."""

    code = "registry-unavailable"


class Fenced(DeliveryError):
    """Another bridge relays this account now. This relay ends, and leaves the CometD session to that bridge."""

    code = "fenced"


class InFlightUnwritable(DeliveryError):
    """The in-flight file under `state_dir` can't be written (disk full, read-only)."""

    code = "in-flight-unwritable"


def installation_of(extra: str) -> str:
    """Return how to install an extra, for the error of a feature that needs it. The package is in no registry yet."""
    return f"in a clone of the repository, run: pip install '.[{extra}]'"
