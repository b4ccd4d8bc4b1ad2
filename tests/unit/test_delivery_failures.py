"""Kafka's failures: what is refused for itself, what is a fence, and what people are told."""

import pytest
from aiokafka import errors as kafka

from bridge.delivery.client.failures import InvalidRecord, fenced, reason, refusal
from bridge.errors import KafkaUnavailable


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "kafka does not answer in time"),
        (kafka.KafkaConnectionError("Unable to bootstrap from [('10.0.0.1', 9092)]"), "kafka unreachable"),
        (ConnectionRefusedError(), "kafka unreachable"),
        (kafka.TopicAuthorizationFailedError("gws.x"), "not authorised: topic gws.x"),
        (kafka.TopicAuthorizationFailedError({"gws.y", "gws.x"}), "not authorised: topic gws.x, gws.y"),
        (
            kafka.TransactionalIdAuthorizationFailed("gws.relay.alice"),
            "not authorised: write on transactional id gws.relay.alice",
        ),
        (
            caused(kafka.KafkaError("IllegalOperation"), kafka.IllegalOperation("Can't send messages")),
            "the transaction was fenced",
        ),
        (kafka.UnknownTopicOrPartitionError("gws.x"), "unknown topic gws.x"),
        (kafka.UnknownTopicOrPartitionError(), "unknown topic"),
        (kafka.SaslAuthenticationFailed(), "kafka refuses the user name or password"),
        (caused(kafka.KafkaError("Unexpected"), kafka.InvalidTxnState()), "kafka failed: InvalidTxnState"),
        (KafkaUnavailable("kafka refuses a record of gws.x: too-large"), "kafka refuses a record of gws.x: too-large"),
    ],
)
def test_a_failure_is_told_in_stable_words(error: Exception, words: str) -> None:
    """The same failure gives the same sentence, without addresses or payload."""
    assert reason(error) == words


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (kafka.MessageSizeTooLargeError(), "too-large"),
        (kafka.RecordListTooLargeError(), "too-large"),
        (InvalidRecord(), "refused"),
        (kafka.InvalidTimestampError(), "refused"),
        (kafka.UnknownTopicOrPartitionError(), None),
        (kafka.ProducerFenced(), None),
        (TimeoutError(), None),
    ],
)
def test_only_what_lies_in_the_record_is_a_refusal(error: Exception, why: str | None) -> None:
    """A dead letter is made for what no further attempt could mend, and for nothing else."""
    assert refusal(error) == why


def test_kafkas_code_87_is_known() -> None:
    """INVALID_RECORD, which aiokafka does not know, is told apart from an unknown error."""
    assert kafka.for_code(87) is InvalidRecord


def test_a_fence_is_found_behind_its_wrapping() -> None:
    """The library reports fencing as it is, or as the cause of another error."""
    assert fenced(kafka.ProducerFenced())
    assert fenced(caused(kafka.KafkaError("Unexpected"), kafka.InvalidProducerEpoch()))
    assert fenced(caused(kafka.KafkaError("IllegalOperation"), kafka.IllegalOperation("Can't send messages")))
    assert not fenced(kafka.KafkaError("other"))
