"""What can go wrong with Kafka, sorted by what to do about it, and put in words for /health/ready."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

from aiokafka import errors as kafka

from bridge import tls
from bridge.delivery.client.aiokafka_internals import add_error
from bridge.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

Client = TypeVar("Client")
Refusal: TypeAlias = Literal["too-large", "refused"]
TOO_LARGE: Final = "too-large"
REFUSED: Final = "refused"


class InvalidRecord(kafka.BrokerResponseError):  # type: ignore[misc]
    """The broker finds the record itself invalid, and would at each attempt (Kafka's error 87, INVALID_RECORD)."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The record has failed the validation on the broker and hence is rejected"


add_error(InvalidRecord)

DENIED: Final = (kafka.UnknownTopicOrPartitionError, kafka.TopicAuthorizationFailedError)
"""A topic is not there, or may not be read."""
FAILURES: Final = (kafka.KafkaError, KafkaUnavailable, OSError, TimeoutError)
"""What an exchange with Kafka may raise where every call of aiokafka is `guarded`. Anything else is a bug of ours."""


class ClientFault(kafka.KafkaError):  # type: ignore[misc]
    """aiokafka ran into a state of its own that it did not expect: that costs the client, never the relay."""


class _Guarded:
    def __init__(self, client: object) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if inspect.iscoroutinefunction(attribute):
            return _guarded_coroutine(attribute)
        return _guarded_call(attribute) if inspect.ismethod(attribute) else attribute


def guarded(client: Client) -> Client:
    """Return an aiokafka client whose methods raise `ClientFault` for faults of its own.

    These are AssertionErrors, KeyErrors and IllegalOperations. Its state machines assert (`transaction_manager.py`,
    `message_accumulator.py`), it looks up connections and partitions that may just have gone (`client.py`,
    `subscription_state.py`), and it refuses a send after a fence (`producer.py`; aiokafka 0.14).
    """
    return cast("Client", _Guarded(client))


@contextmanager
def client_faults() -> Iterator[None]:
    """Raise `ClientFault` for what `guarded` names; no code of ours may run in the body."""
    try:
        yield
    except (AssertionError, KeyError, kafka.IllegalOperation) as error:
        raise ClientFault(type(error).__name__) from error


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
    """Why Kafka refuses these records for themselves (the dead letter's reason); None for every other failure."""
    if isinstance(error, kafka.MessageSizeTooLargeError | kafka.RecordListTooLargeError | kafka.RecordTooLargeError):
        return TOO_LARGE
    if isinstance(error, InvalidRecord | kafka.InvalidTimestampError):
        return REFUSED
    return None


def fenced(error: BaseException | None) -> bool:
    """Whether the broker says that a newer producer, or its own transaction time-out, has taken our place.

    If it says so between the begin of a transaction and a send, aiokafka refuses the send as an IllegalOperation.
    """
    while error is not None:
        if isinstance(error, kafka.ProducerFenced | kafka.InvalidProducerEpoch | kafka.IllegalOperation):
            return True
        error = error.__cause__
    return False


# The first that fits counts: TimeoutError is an OSError, and most of Kafka's errors have a common base.
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
    """One short sentence: what is wrong with Kafka, with the topic where that matters.

    `certificate_file`: the client's certificate, where there is one; it may be what the broker refuses.
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
    """The topics or the transactional id that aiokafka gives as the error's only argument, as a name or a set."""
    argument = error.args[0] if error.args else ""
    if isinstance(argument, set | frozenset):
        return ", ".join(sorted(argument))
    return argument if isinstance(argument, str) else ""
