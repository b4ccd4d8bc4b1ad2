"""Connections without a client, and the classes of Kafka's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_error(error: type[errors.BrokerResponseError]) -> None:
    """Make aiokafka raise `error` for its error code, if aiokafka has no class for the code.

    Private part: the table `aiokafka.errors.kafka_errors`. aiokafka 0.14 has no classes for codes above 79. For such
    codes aiokafka raises UnknownError, which does not contain the code. If the table disappears, the bridge treats an
    invalid record (code 87) like an outage, and sends the record again and again.
    """
    errors.kafka_errors.setdefault(error.errno, error)


def bootstrap_addresses(servers: str) -> list[tuple[str, int]]:
    """Split the setting `bootstrap_servers` into hosts and ports, like aiokafka's clients.

    Private part: `aiokafka.conn.collect_hosts`. aiokafka's rules for IPv6 and missing ports aren't public, so another
    parser might differ. If the function changes, `bridge check` can no longer say why no broker accepts a connection.
    """
    return [(host, port) for host, port, _ in collect_hosts(servers, randomize=False)]


async def try_connection(host: str, port: int, arguments: Mapping[str, Any]) -> None:
    """Open a connection with TLS and login, and close it.

    `arguments` are the result of `connection`, without the servers.

    Private part: `aiokafka.conn.create_conn`. aiokafka's public clients try one server after the other and discard the
    errors. If the function changes, the bridge reports a bad certificate or password only as "kafka unreachable".

    Raises:
        aiokafka.errors.KafkaError, OSError, TimeoutError: the reason why the connection failed.
    """
    opened = await create_conn(host, port, **arguments)
    await opened.close()
