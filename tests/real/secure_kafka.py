"""Apache Kafka as a security team runs it: TLS, SASL, client certificates, and nothing allowed that no ACL allows."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.certificates import Authority
from tests.real.kafka import RealKafka

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN = "org.apache.kafka.common.security"
_ADMIN_DEADLINE = 15.0


class Right(NamedTuple):
    """One allowed operation, in the words of kafka-acls: `Right("topic", "gws.x", "write")`."""

    resource: str
    name: str
    operation: str


class SecureKafka(RealKafka):
    """A broker with two listeners that ask who comes.

    SASL_SSL takes `password` for each of `users`, by each of MECHANISMS; SSL takes a certificate of `authority`, whose
    common name is the user. The broker's own certificate is for 127.0.0.1. On PLAINTEXT everything is allowed.
    """

    def __init__(self, authority: Authority, users: Iterable[str], password: str) -> None:
        names = list(users)
        accounts = " ".join(f'user_{name}="{password}"' for name in names)
        own = authority.issue("broker", hosts=("127.0.0.1",))
        super().__init__(
            listeners={"SASL": "SASL_SSL", "MUTUAL": "SSL"},
            scram=[f"{kind}=[name={name},password={password}]" for name in names for kind in MECHANISMS[1:]],
            properties={
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "auto.create.topics.enable": "false",
                "sasl.enabled.mechanisms": ",".join(MECHANISMS),
                "listener.name.sasl.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required {accounts};",
                **{
                    f"listener.name.sasl.{kind.lower()}.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;"
                    for kind in MECHANISMS[1:]
                },
                **_tls(own.both, authority.certificate),
                "listener.name.mutual.ssl.client.auth": "required",
                "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            },
        )

    async def allow(self, user: str, rights: Iterable[Right]) -> None:
        """Give a user rights; returns when the broker heeds them."""
        await asyncio.to_thread(self._allow, [_binding(user, right) for right in rights])

    async def revoke(self, user: str, rights: Iterable[Right]) -> None:
        """Take rights away that the user has; returns when the broker heeds it."""
        await asyncio.to_thread(self._revoke, [_binding(user, right) for right in rights])

    def _allow(self, bindings: list[AclBinding]) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for done in admin.create_acls(bindings).values():
            done.result(_ADMIN_DEADLINE)

    def _revoke(self, bindings: list[AclBinding]) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        which = [
            AclBindingFilter(
                one.restype,
                one.name,
                one.resource_pattern_type,
                one.principal,
                one.host,
                one.operation,
                one.permission_type,
            )
            for one in bindings
        ]
        for done in admin.delete_acls(which).values():
            assert len(done.result(_ADMIN_DEADLINE)) == 1


def _binding(user: str, right: Right) -> AclBinding:
    return AclBinding(
        ResourceType[right.resource.upper()],
        right.name,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[right.operation.upper()],
        AclPermissionType.ALLOW,
    )


def _tls(keystore: Path, truststore: Path) -> Mapping[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(truststore),
    }
