"""Every error that the bridge raises on purpose, in one tree.

Each has a stable `code`, used alike in problem+json, logs and metrics, and a message that tells a person what to do::

    BridgeError
    ├── SettingsError               a setting is missing or wrong; the start stops
    ├── CommandFailed               a command could not do what it was asked to
    ├── UpstreamError               Web Services, over HTTP
    │   ├── UpstreamUnreachable     no connection
    │   ├── UpstreamTimeout         no answer within the deadline
    │   ├── UpstreamInvalidReply    an answer that is not Web Services' (HTML, broken JSON, no statusCode)
    │   ├── UpstreamRejected        a statusCode other than 0
    │   ├── LoginRefused            the account's name or password is wrong, or the account is locked
    │   └── LoginNotKept            Web Services forgets each login at the next request
    ├── RelayEnded                  a relay ended by itself: a bug; the process ends
    ├── UnknownAccount              a caller names an account that the settings do not have
    ├── OperationError              the ingress can't take an operation
    │   ├── Busy                    too many are under way; try again later
    │   ├── Conflict                its referenceId belongs to another request
    │   ├── UnknownOperation        no operation of that referenceId is known
    │   └── LedgerUnread            what came before the start is not known yet
    ├── CometdError                 the CometD session
    │   └── ExchangeFailed          one HTTP exchange with the CometD server failed (network, status, body)
    └── DeliveryError               Kafka
        ├── KafkaUnavailable        not reachable, not authorised, or over its deadline; tried again
        ├── RegistryUnavailable     the schema registry is not reachable, or refuses; tried again
        ├── Fenced                  another bridge relays this account now; this one leaves
        └── InFlightUnwritable      `state_dir` can't be written (full, read-only)
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """What the bridge raises on purpose. `str()` is one sentence for a person and holds no personal data."""

    code: ClassVar[str] = "bridge-error"


class SettingsError(BridgeError):
    """A setting is missing or wrong. `faults` has one line for each, naming the variable."""

    code = "settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class CommandFailed(BridgeError):
    """A command could not do what it was asked to; the message says why, and what helps."""

    code = "command-failed"


class UpstreamError(BridgeError):
    """Web Services could not do what it was asked to."""

    code = "upstream"


class UpstreamUnreachable(UpstreamError):
    """No connection to Web Services. `sent` tells whether the request may have reached it.

    `fault` is a stable word where people must put something right first (TLS, the proxy); None for what may pass.
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
    """Web Services (or something before it) answered with something that is not its protocol."""

    code = "upstream-invalid-reply"

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class UpstreamRejected(UpstreamError):
    """Web Services answered with a statusCode other than 0.

    `status_message` is upstream's free text: it may quote device numbers, so it goes to the caller but never to a log.
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
    """Web Services forgets each login at the next request: most often a balancer that isn't sticky."""

    code = "login-not-kept"


class RelayEnded(BridgeError):
    """An account's relay ended although nobody had stopped it: a bug. The process ends, so that it is noticed."""

    code = "relay-ended"


class UnknownAccount(BridgeError):
    """A caller names an account that the settings do not have."""

    code = "unknown-account"


class OperationError(BridgeError):
    """The ingress can't take an operation, or doesn't know it."""

    code = "operation"


class Busy(OperationError):
    """Too many operations are under way; nothing was forwarded. `retry_after` is in seconds."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(OperationError):
    """The referenceId belongs to another request; nothing was forwarded."""

    code = "reference-conflict"


class UnknownOperation(OperationError):
    """No operation of that referenceId is known: it never was, or it is too old."""

    code = "unknown-operation"


class LedgerUnread(OperationError):
    """The ledger has not been read since the start, so what came before is not known yet."""

    code = "ledger-unread"


class CometdError(BridgeError):
    """The CometD session failed."""

    code = "cometd"


class ExchangeFailed(CometdError):
    """One HTTP exchange with the CometD server failed. `reason` is a short stable word: the label in logs and metrics.

    `sent` tells whether the request may have reached the server.
    """

    code = "cometd-exchange"

    def __init__(self, reason: str, detail: str = "", *, sent: bool = True) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.sent = sent


class DeliveryError(BridgeError):
    """Kafka did not take what it was given."""

    code = "delivery"


class KafkaUnavailable(DeliveryError):
    """Kafka is not reachable, does not authorise the bridge, or passed its deadline. Tried again until it works."""

    code = "kafka-unavailable"


class RegistryUnavailable(DeliveryError):
    """The schema registry is not reachable, or refuses what is asked of it. Tried again until it works."""

    code = "registry-unavailable"


class Fenced(DeliveryError):
    """Another bridge has taken over this account's relay; this one leaves, and leaves the CometD session alone."""

    code = "fenced"


class InFlightUnwritable(DeliveryError):
    """The in-flight file under `state_dir` can't be written (disk full, read-only)."""

    code = "in-flight-unwritable"
