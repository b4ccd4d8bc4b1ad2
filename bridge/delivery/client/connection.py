"""Makes the arguments with which aiokafka connects to Kafka, and finds the reason why a connection fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge import tls
from bridge.delivery.client.aiokafka_internals.connecting import bootstrap_addresses, try_connection
from bridge.delivery.client.aiokafka_internals.metadata import create_no_topics
from bridge.delivery.client.failures import FAILURES, client_faults, reason
from bridge.futures import error_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bridge.settings import Kafka

CLOSE_TIMEOUT: Final = 2.0
log = structlog.get_logger(__name__)
create_no_topics()  # every client of the bridge takes its arguments from `connection`


def connection(settings: Kafka) -> dict[str, Any]:
    """Return addresses, deadline and security as keyword arguments for aiokafka's producer, consumer and admin client.

    Each call reads the certificate files again, so the next connection uses a renewed certificate.

    Raises:
        bridge.tls.UnusableFiles: a certificate or key file can't be read or has wrong content.
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


async def closed(closing: Coroutine[Any, Any, None], timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ASYNC109 -- in all cases
    """Close a client in a separate task with a deadline of `timeout` seconds. `closing`: its `stop()` or `close()`.

    After a failure, these methods may wait for a broker that is gone, so the deadline is necessary. A separate task is
    necessary because they mix up cancellations: shortly after the start `stop()` raises CancelledError although nobody
    has cancelled the caller, and `close()` swallows a cancellation of the caller.
    """
    task = asyncio.ensure_future(closing)
    _, late = await asyncio.wait([task], timeout=timeout)
    if late:
        task.cancel()
        await asyncio.wait([task])
    if (error := error_of(task)) is not None:
        log.debug("client-not-closed", error=type(error).__name__)


async def connection_trouble(settings: Kafka, deadline: float) -> str | None:
    """Return the reason why no bootstrap server accepts a connection. Return None if a server accepts a connection.

    The function takes at most `deadline` seconds. aiokafka's clients try one server after the other, and don't report
    the error of each server.
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
    """Return the reason for a failed first request. A server closes the connection if it expects another protocol."""
    if isinstance(error, ConnectionResetError) or isinstance(error.__cause__, EOFError):
        return "kafka hangs up at once: is BRIDGE_KAFKA__SECURITY_PROTOCOL what this port speaks?"
    return reason(error, settings.ssl_certfile)


def milliseconds(seconds: float) -> int:
    """Convert seconds to whole milliseconds, at least 1, as Kafka's settings require."""
    return max(1, round(seconds * 1000))
