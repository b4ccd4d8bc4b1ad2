"""Classifies the errors of aiokafka by the necessary reaction, and describes them for /health/ready."""

from __future__ import annotations

import inspect
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

from aiokafka import errors as kafka

from bridge import tls
from bridge.delivery.client.aiokafka_internals.connecting import add_error
from bridge.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

Client = TypeVar("Client")
Refusal: TypeAlias = Literal["too-large", "refused"]
TOO_LARGE: Final = "too-large"
REFUSED: Final = "refused"


class InvalidRecord(kafka.BrokerResponseError):  # type: ignore[misc]
    """The broker refuses the record's content, so another attempt would fail too (Kafka's error 87, INVALID_RECORD)."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The record has failed the validation on the broker and hence is rejected"


add_error(InvalidRecord)

DENIED: Final = (kafka.UnknownTopicOrPartitionError, kafka.TopicAuthorizationFailedError)
"""Errors that mean that a topic does not exist or that the bridge may not read it."""
FAILURES: Final = (kafka.KafkaError, KafkaUnavailable, OSError, TimeoutError)
"""All errors that a `guarded` aiokafka client may raise. Any other error is a bug of the bridge."""


class ClientFault(kafka.KafkaError):  # type: ignore[misc]
    """aiokafka has reached an internal state that it does not expect. The bridge needs a new client to continue."""


class _Guarded:
    def __init__(self, client: object) -> None:
        self._wrapped = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._wrapped, name)
        if not inspect.ismethod(attribute):
            return _guarded_coroutine(attribute) if inspect.iscoroutinefunction(attribute) else attribute
        wrap = _guarded_coroutine if inspect.iscoroutinefunction(attribute) else _guarded_call
        method = self.__dict__[name] = wrap(attribute)  # so that the next call finds the wrapped method at once
        return method


def guarded(client: Client) -> Client:
    """Return the aiokafka client with methods that raise `ClientFault` for internal faults of aiokafka 0.14.

    - AssertionError, by aiokafka's state machines (`transaction_manager.py`, `message_accumulator.py`)
    - KeyError, for connections and partitions that have just disappeared (`client.py`, `subscription_state.py`)
    - IllegalOperation, for a send after a fence (`producer.py`)
    - every other error that aiokafka's own code raises: odd bytes from a broker raise IndexError, struct.error or
      UnicodeDecodeError there
    """
    return cast("Client", _Guarded(client))


class _ClientFaults:
    """The context manager of `client_faults`."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and _is_fault(error):
            raise ClientFault(type(error).__name__) from error


_CLIENT_FAULTS: Final = _ClientFaults()


def client_faults() -> AbstractContextManager[None]:
    """Raise `ClientFault` for the faults that `guarded` lists. The body may contain only calls of aiokafka."""
    return _CLIENT_FAULTS


def _is_fault(error: Exception) -> bool:
    if isinstance(error, AssertionError | KeyError | kafka.IllegalOperation):
        return True
    return not isinstance(error, FAILURES) and _raised_by_aiokafka(error)


def _raised_by_aiokafka(error: Exception) -> bool:
    """Return whether aiokafka's code raised the error.

    Frames of the standard library are skipped, because an error there is a fault of the caller.
    """
    packages = [
        frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    own = [package for package in packages if package not in sys.stdlib_module_names]
    return own[-1:] == ["aiokafka"]


def _guarded_coroutine(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any, **named: Any) -> Any:
        with client_faults():
            return await method(*arguments, **named)

    return call


def _guarded_call(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        with client_faults():
            return method(*arguments, **named)

    return call


def refusal(error: BaseException) -> Refusal | None:
    """Return the reason for a dead letter if Kafka refused the record's content or size; None for other failures."""
    if isinstance(error, kafka.MessageSizeTooLargeError | kafka.RecordListTooLargeError | kafka.RecordTooLargeError):
        return TOO_LARGE
    if isinstance(error, InvalidRecord | kafka.InvalidTimestampError):
        return REFUSED
    return None


def fenced(error: BaseException | None) -> bool:
    """Return whether an error means that the broker has fenced this producer.

    A broker fences a producer when a newer producer starts, or when a transaction has taken too long. If this happens
    between the begin of a transaction and a send, aiokafka raises IllegalOperation for the send.
    """
    while error is not None:
        if isinstance(error, kafka.ProducerFenced | kafka.InvalidProducerEpoch | kafka.IllegalOperation):
            return True
        error = error.__cause__
    return False


# The first fitting class counts, because TimeoutError is an OSError, and most of Kafka's errors have a common base.
_REASONS: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((TimeoutError, kafka.RequestTimedOutError, kafka.KafkaTimeoutError), "kafka does not answer in time"),
    ((kafka.TopicAuthorizationFailedError,), "not authorised: topic {names}"),
    ((kafka.TransactionalIdAuthorizationFailed,), "not authorised: write on transactional id {names}"),
    ((kafka.GroupAuthorizationFailedError,), "not authorised: read on group {names}"),
    ((kafka.ClusterAuthorizationFailedError,), "not authorised: write on a topic, or idempotent write on the cluster"),
    ((kafka.AuthenticationFailedError, kafka.SaslAuthenticationFailed), "kafka refuses the user name or password"),
    (
        (kafka.UnsupportedSaslMechanismError, kafka.IllegalSaslStateError),
        "kafka does not take this SASL mechanism at this port",
    ),
    ((kafka.UnknownTopicOrPartitionError,), "unknown topic {names}"),
    ((kafka.KafkaConnectionError, kafka.NodeNotReadyError, OSError), "kafka unreachable"),
    ((kafka.ProducerFenced, kafka.InvalidProducerEpoch, kafka.IllegalOperation), "the transaction was fenced"),
)


def reason(error: BaseException, certificate_file: Path | None = None) -> str:
    """Describe an error of Kafka in a short phrase, with the topic if the error names one.

    `certificate_file` is the client's certificate, if any. The function checks it when a TLS handshake has failed.
    """
    if isinstance(error, KafkaUnavailable):
        return str(error)
    fault = tls.fault(error, certificate_file)
    if fault is not None:
        return f"no TLS with kafka: {tls.TEXTS[fault]}"
    for types, words in _REASONS:
        if isinstance(error, types):
            return words.format(names=_names(error)).rstrip()
    if error.__cause__ is not None:
        return reason(error.__cause__)
    return f"kafka failed: {type(error).__name__}"


def _names(error: BaseException) -> str:
    """Return the topics or the transactional id that an error of aiokafka has as its argument, or an empty text."""
    argument = error.args[0] if error.args else ""
    if isinstance(argument, set | frozenset):
        return ", ".join(sorted(argument))
    return argument if isinstance(argument, str) else ""
