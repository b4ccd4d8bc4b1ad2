"""From the Kafka settings to the arguments that every aiokafka client takes, and why the brokers take no connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridge import tls
from bridge.delivery.client.aiokafka_internals import bootstrap_addresses, try_connection
from bridge.delivery.client.failures import FAILURES, client_faults, reason

if TYPE_CHECKING:
    from bridge.settings import Kafka


def connection(settings: Kafka) -> dict[str, Any]:
    """Address, deadline and security, as keyword arguments for aiokafka's producer, consumer and admin client.

    The files are read each time, so that a renewed certificate is used from the next connection on.

    Raises:
        bridge.tls.UnusableFiles: a certificate or key file can't be read, or is not what it should be.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": "cometd-kafka-bridge",
        "request_timeout_ms": milliseconds(settings.request_timeout),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password and settings.sasl_password.get_secret_value(),
        }
    if settings.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = tls.client_context(
            ca_file=settings.ssl_cafile,
            certificate_file=settings.ssl_certfile,
            key_file=settings.ssl_keyfile,
            password=None if settings.ssl_password is None else settings.ssl_password.get_secret_value(),
        )
    return arguments


async def connection_trouble(settings: Kafka, deadline: float) -> str | None:
    """Tell why no bootstrap server takes a connection, within `deadline` seconds; None where one does.

    aiokafka's clients try one server after the other and forget why each failed.
    """
    told: str | None = None
    try:
        async with asyncio.timeout(deadline):
            arguments = connection(settings)
            for host, port in bootstrap_addresses(arguments.pop("bootstrap_servers")):
                try:
                    with client_faults():
                        await try_connection(host, port, arguments)
                except FAILURES as error:
                    told = told or _first_words(error, settings)
                else:
                    return None
    except FAILURES as error:
        told = told or reason(error, settings.ssl_certfile)
    return told


def _first_words(error: BaseException, settings: Kafka) -> str:
    """Of a connection's first request. A port that hears another protocol than its own hangs up without a word."""
    if isinstance(error, ConnectionResetError) or isinstance(error.__cause__, EOFError):
        return "kafka hangs up at once: is BRIDGE_KAFKA__SECURITY_PROTOCOL what this port speaks?"
    return reason(error, settings.ssl_certfile)


def milliseconds(seconds: float) -> int:
    """Kafka's settings are whole milliseconds, at least one."""
    return max(1, round(seconds * 1000))
