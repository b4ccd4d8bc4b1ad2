"""From settings to aiokafka's arguments."""

import ssl
from typing import Any

import pytest

from bridge.delivery import connection, position_topic, topic_names
from bridge.settings import Kafka


def settings(**values: Any) -> Kafka:
    return Kafka(bootstrap_servers="127.0.0.1:9092", **values)


def test_plaintext_carries_no_credentials() -> None:
    """Without security there is neither a user name nor a TLS context."""
    arguments = connection(settings(request_timeout=2.5))
    assert arguments["request_timeout_ms"] == 2500
    assert not {"ssl_context", "sasl_mechanism", "sasl_plain_password"} & set(arguments)


@pytest.mark.parametrize(("protocol", "tls"), [("SASL_PLAINTEXT", False), ("SASL_SSL", True)])
def test_sasl_carries_user_and_password(protocol: str, *, tls: bool) -> None:
    """SASL settings reach the client, and TLS is on only where the protocol says so."""
    arguments = connection(
        settings(security_protocol=protocol, sasl_mechanism="SCRAM-SHA-512", sasl_username="u", sasl_password="p")
    )
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "p")
    assert ("ssl_context" in arguments) is tls


def test_tls_checks_the_broker() -> None:
    """The TLS context asks for a valid certificate of the right host."""
    context = connection(settings(security_protocol="SSL"))["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_topics_have_the_prefix() -> None:
    """All topics of the contract, under the prefix."""
    names = topic_names(settings(topic_prefix="p"))
    assert names[0] == "p.acknowledgements.v1"
    assert len(names) == 6
    assert position_topic(settings(topic_prefix="p")) == "p.bridge-state"
