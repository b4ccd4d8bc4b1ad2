"""From the Kafka settings to the arguments that every aiokafka client takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.helpers import create_ssl_context

if TYPE_CHECKING:
    from bridge.settings import Kafka


def connection(settings: Kafka) -> dict[str, Any]:
    """Address, deadline and security, as keyword arguments for aiokafka's producer, consumer and admin client.

    Raises:
        OSError: a certificate or key file can't be read.
        ssl.SSLError: a certificate or key file is not what it should be.
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
        arguments["ssl_context"] = create_ssl_context(
            cafile=_path(settings.ssl_cafile),
            certfile=_path(settings.ssl_certfile),
            keyfile=_path(settings.ssl_keyfile),
            password=settings.ssl_password and settings.ssl_password.get_secret_value(),
        )
    return arguments


def milliseconds(seconds: float) -> int:
    """Kafka's settings are whole milliseconds, at least one."""
    return max(1, round(seconds * 1000))


def _path(path: object | None) -> str | None:
    return None if path is None else str(path)
