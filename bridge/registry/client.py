"""The client of a schema registry with Confluent's API.

Each method opens a new connection and has a deadline. Calls are rare, so a permanent connection would save little.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from bridge import tls
from bridge.errors import RegistryUnavailable
from bridge.registry.subjects import Found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.registry.subjects import Subject
    from bridge.settings import Registry


_ABSENT: Final = frozenset({40401, 40402, 40403})
"""Confluent's error codes for a missing subject, version and schema (Schema Registry API reference, "Errors")."""


class SchemaRegistry:
    """A client of the schema registry. The setting `url` must not be None."""

    def __init__(self, settings: Registry) -> None:
        self._settings = settings

    async def id_of(self, subject: Subject) -> int:
        """Return the id of a subject's schema. Register a missing schema if the setting `auto_register` is true.

        The compatibility level of a subject is set only when the method registers a schema.

        Raises:
            RegistryUnavailable: the registry can't be reached or refuses the request, or the schema is missing and
                `auto_register` is false.
        """
        async with self._talk(subject.name) as client:
            known = await _find(client, subject)
            if known is not None:
                return known
            if not self._settings.auto_register:
                raise RegistryUnavailable(
                    f"{subject.name} lacks the bridge's schema ({subject.kind.name}); register it, or set "
                    "BRIDGE_KAFKA__REGISTRY__AUTO_REGISTER=true"
                )
            await client.set_compatibility(subject.name, subject.compatibility)
            registered: int = await client.register_schema(subject.name, _schema(subject))
            return registered

    async def look(self, subject: Subject) -> Found:
        """Return whether the subject has the bridge's schema and, if not, whether it could be registered.

        The method changes nothing in the registry.

        Raises:
            RegistryUnavailable: the registry can't be reached or refuses the request.
        """
        async with self._talk(subject.name) as client:
            if await _find(client, subject) is not None:
                return Found.THERE
            try:
                fits = await client.test_compatibility(subject.name, _schema(subject))
            except SchemaRegistryError as error:
                if _absent(error):
                    return Found.MISSING  # the subject has no earlier version, so nothing can be incompatible
                raise
            return Found.MISSING if fits else Found.INCOMPATIBLE

    async def avro_schema(self, id_: int) -> str | None:
        """Return the Avro schema with this id, or None if no schema has the id or the schema is not Avro.

        Raises:
            RegistryUnavailable: the registry can't be reached or refuses the request.
        """
        async with self._talk(f"schema {id_}") as client:
            try:
                schema = await client.get_schema(id_)
            except SchemaRegistryError as error:
                if _absent(error):
                    return None
                raise
            text: str | None = schema.schema_str
            return text if schema.schema_type == "AVRO" else None

    @asynccontextmanager
    async def _talk(self, subject: str) -> AsyncIterator[Any]:
        """Open a client for requests about `subject`. The deadline applies to the whole block."""
        try:
            async with asyncio.timeout(self._settings.request_timeout), self._client() as client:
                yield client
        except RegistryUnavailable:
            raise
        except Exception as error:
            # The client's HTTP library raises other errors too, which may change with the library's version. So catch
            # all errors.
            raise RegistryUnavailable(_reason(error, subject, self._settings)) from error

    def _client(self) -> Any:
        settings = self._settings
        properties = {
            "url": settings.url,
            "timeout": settings.request_timeout,
            "max.retries": 0,  # RegistryEncoding.run tries again, and readiness shows the reason
            "ssl.ca.location": settings.ssl_cafile and str(settings.ssl_cafile),
            "ssl.certificate.location": settings.ssl_certfile and str(settings.ssl_certfile),
            "ssl.key.location": settings.ssl_keyfile and str(settings.ssl_keyfile),
            "ssl.key.password": settings.ssl_password and settings.ssl_password.get_secret_value(),
        }
        if settings.username is not None and settings.password is not None:
            properties["basic.auth.user.info"] = f"{settings.username}:{settings.password.get_secret_value()}"
        return AsyncSchemaRegistryClient({name: value for name, value in properties.items() if value is not None})


async def _find(client: Any, subject: Subject) -> int | None:
    try:
        found = await client.lookup_schema(subject.name, _schema(subject))
    except SchemaRegistryError as error:
        if _absent(error):
            return None
        raise
    id_: int = found.schema_id
    return id_


def _absent(error: SchemaRegistryError) -> bool:
    """Return whether the registry says that it lacks a subject, a version or a schema.

    A server that is not a schema registry, and a wrong path in the URL, also cause a 404, but without one of
    Confluent's error codes.
    """
    return error.http_status_code == 404 and error.error_code in _ABSENT


def _schema(subject: Subject) -> Any:
    return Schema(subject.schema, subject.schema_type)


def _reason(error: Exception, subject: str, settings: Registry) -> str:
    """Describe an error in one sentence, without the registry's message, which is long and quotes the schema."""
    if isinstance(error, SchemaRegistryError):
        return _refusal(error, subject, settings)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "the schema registry does not answer in time"
    fault = tls.fault(error, settings.ssl_certfile)
    if fault is not None:
        return f"no TLS with the schema registry: {tls.TEXTS[fault]}"
    return f"the schema registry at {settings.url} can't be used ({type(error).__name__})"


def _refusal(error: SchemaRegistryError, subject: str, settings: Registry) -> str:
    status = error.http_status_code
    if status in {401, 403}:
        return f"the schema registry refuses the bridge ({status}); check BRIDGE_KAFKA__REGISTRY__USERNAME, __PASSWORD"
    if status == 409:
        return (
            f"the schema registry finds the bridge's schema incompatible with that of {subject} (409); another "
            "application uses the subject, or a newer bridge has registered its schema"
        )
    if status == 404:
        return f"{settings.url} answers 404: no schema registry is there; check BRIDGE_KAFKA__REGISTRY__URL"
    return f"the schema registry answers {status} (error {error.error_code}) for {subject}"
