"""All settings: environment variables `BRIDGE_*` (nested by `__`), or a TOML file; secrets also as files (`*_FILE`)."""

from __future__ import annotations

import os
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)

from bridge.errors import SettingsError
from bridge.settings import rules, sources
from bridge.settings.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Account(Section):
    """One Web Services account: one CometD session and one relay."""

    name: Annotated[str, Field(pattern=f"^{rules.ACCOUNT_NAME.pattern}$")]
    """What `X-Account`, metrics, the log and the position call it: letters, digits and `._@-`, up to 64."""
    username: Annotated[str, AfterValidator(rules.basic_user)]
    """The account's name at Web Services."""
    password: Annotated[SecretStr, Field(min_length=1)]
    """The account's password at Web Services; it also encrypts the account's position in Kafka."""


class WebServices(Section):
    """Where Web Services is, and who the bridge is there."""

    url: Annotated[str, AfterValidator(rules.base_url)]
    """Base URL, without /api/v2."""
    username: Annotated[str, AfterValidator(rules.basic_user)] | None = None
    """The account's user name, which is its name here too; required unless `accounts` lists some."""
    password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """The account's password, which also encrypts its position in Kafka; required unless `accounts` lists some."""
    notifications_path: Annotated[str, Field(pattern=r"^/")] = "/api/v2/notifications"
    """Path of the CometD endpoint."""
    start_voice_session: bool = False
    """Whether to start a contact centre session after the subscription, where the site needs one."""
    channels: tuple[str, ...] = ("/v2/me/*", "/me/internal")
    """What is subscribed to; not ready while one of them is refused."""
    optional_channels: frozenset[str] = frozenset()
    """Channels whose refusal leaves the bridge ready: for sites that never permit a subscription."""
    max_interval: Seconds = 10
    """How long the server keeps a silent session, where its advice doesn't tell (CometD's maxInterval), in seconds."""
    request_timeout: Seconds = 10
    """Deadline of each request to Web Services except the long poll, in seconds."""
    max_reply_bytes: Annotated[int, Field(ge=1 << 20)] = 128 << 20
    """Bytes, after decompression, of the longest CometD reply; of a poll's, which may be longer, of one message. A REST
    reply may have 1 MiB."""
    login_retry_interval: Annotated[float, Field(ge=30)] = 60
    """Seconds between two attempts with a refused password; never under 30, because accounts get locked."""
    ca_file: FilePath | None = None
    """The authorities that Web Services' certificate may come from (PEM), instead of the system's."""
    client_cert_file: FilePath | None = None
    """The certificate that the bridge shows Web Services (PEM)."""
    client_key_file: FilePath | None = None
    """Its key, where that is not in the same file."""
    client_key_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """What opens an encrypted key."""
    proxy: Annotated[str, AfterValidator(rules.proxy_url)] | None = None
    """An HTTP proxy on the way to Web Services, as http://host:port."""
    proxy_username: Annotated[str, AfterValidator(rules.basic_user)] | None = None
    """The bridge's name at the proxy."""
    proxy_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """The bridge's password at the proxy."""

    across = staticmethod(rules.connection_faults)


class Delivery(StrEnum):
    """How events reach Kafka."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


class Registry(Section):
    """The schema registry, for `kafka.format` other than json, and to read what was written so before."""

    url: Annotated[str, AfterValidator(rules.registry_url)] | None = None
    """Where it serves Confluent's API; required unless `kafka.format` is json."""
    username: Annotated[str, AfterValidator(rules.basic_user)] | None = None
    """The bridge's name at the registry."""
    password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """The bridge's password at the registry."""
    ssl_cafile: FilePath | None = None
    """CA file (PEM) for the registry's certificate. Default: the system's CAs."""
    ssl_certfile: FilePath | None = None
    """PEM file of the client certificate, where the registry asks for one."""
    ssl_keyfile: FilePath | None = None
    """PEM file of its key."""
    ssl_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Passphrase of the client certificate's private key."""
    auto_register: bool = True
    """Whether the bridge registers its schemas; false: it looks them up, and changes nothing."""
    subject_naming: Literal["topic", "record"] = "topic"
    """The subject of a schema: `<topic>-value` (TopicNameStrategy), or the record's own name (RecordNameStrategy)."""
    request_timeout: Seconds = 10
    """Deadline of each exchange with the registry, in seconds."""

    across = staticmethod(rules.registry_faults)


class Kafka(Section):
    """The Kafka cluster."""

    bootstrap_servers: Annotated[str, AfterValidator(rules.servers)]
    """host:port, several with commas."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "gws"
    """What the names of all topics and transactional ids begin with."""
    delivery: Delivery = Delivery.EXACTLY_ONCE
    """at-least-once does without transactions: after a failure events may come twice, with the same `ce_id`."""
    format: Literal["json", "json-registry", "avro-registry"] = "json"
    """Of the values: JSON, or JSON or Avro in the schema registry's wire format."""
    registry: Registry = Field(default_factory=Registry)
    compression: Literal["none", "gzip", "lz4", "zstd"] = "none"
    """Of what is sent to Kafka."""
    create_topics: bool = True
    """Whether topics that are missing are created, where the cluster permits it."""
    partitions: Annotated[int, Field(ge=1)] = 6
    """Of topics that the bridge creates."""
    slots: Annotated[int, Field(ge=1, le=1000)] = 16
    """Partitions of the topic of positions, where the bridge creates it; each publishes its accounts together."""
    replication_factor: Annotated[int, Field(ge=-1)] = -1
    """Of topics that the bridge creates; -1 is the cluster's default."""
    request_timeout: Seconds = 10
    """Deadline of each exchange with Kafka, in seconds; a producer that passed it is replaced."""
    check_crcs: bool = True
    """Only librdkafka's mock cluster needs this off."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As Kafka calls it."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """Required with SASL, as are the two that follow."""
    sasl_username: str | None = None
    """Who the bridge is at Kafka."""
    sasl_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Its password at Kafka."""
    ssl_cafile: FilePath | None = None
    """CA file (PEM) for the brokers' certificates. Default: the system's CAs."""
    ssl_certfile: FilePath | None = None
    """PEM file of the client certificate, where Kafka asks for one."""
    ssl_keyfile: FilePath | None = None
    """PEM file of its key, unless that is in the certificate's file."""
    ssl_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Passphrase of the client certificate's private key."""

    across = staticmethod(rules.kafka_faults)


class Authentication(Section):
    """How REST callers prove who they are."""

    method: Literal["none", "tokens", "jwt"] = "none"
    """tokens needs `tokens_file`; jwt needs `jwks_url`, `issuer` and `audience`."""
    tokens_file: FilePath | None = None
    """Static tokens, one a line: `name:sha256-hex[:scopes]`; read again when it changes."""
    jwks_url: Annotated[str, AfterValidator(rules.keys_url)] | None = None
    """Where the keys are that sign the callers' JSON Web Tokens."""
    jwks_cafile: FilePath | None = None
    """PEM file of the authorities that are trusted there; without it those of the system."""
    issuer: Annotated[str, Field(min_length=1)] | None = None
    """Whose tokens count: their `iss`."""
    audience: Annotated[str, Field(min_length=1)] | None = None
    """The audience that the tokens must name: their `aud`."""
    algorithms: Annotated[tuple[Algorithm, ...], AfterValidator(rules.some)] = ("RS256", "ES256")
    """Asymmetric ones only: else whoever has a public key could sign tokens with it, as if it were a shared secret."""

    across = staticmethod(rules.authentication_faults)


class Http(Section):
    """The REST side."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on; any but loopback needs authentication."""
    port: Port = 8080
    """0: any free one, told by the log."""
    management_port: Port | None = None
    """Where health and metrics move to, without authentication; without it they stay beside the rest."""
    allowed_hosts: Annotated[tuple[str, ...], AfterValidator(rules.host_names)] = ()
    """Host names, without ports, under which callers may address the REST side, as a JSON array; `["*"]`: any name.
    `localhost`, `http.host` and IP addresses are always allowed, and health and metrics answer under any name. Empty:
    no further name with authentication.method none, and any name with tokens or jwt."""
    authentication: Authentication = Field(default_factory=Authentication)
    """How REST callers prove who they are."""
    allow_unauthenticated: bool = False
    """Whether callers from other machines need not prove who they are."""

    across = staticmethod(rules.http_faults)


class Operations(Section):
    """The life of forwarded operations."""

    acknowledgement_timeout: Seconds = 30
    """Seconds after which an operation without an acknowledgement is timed-out."""
    enabled: Annotated[tuple[str, ...], Field(min_length=1)] = ("DoNotCallRecord",)
    """The `operationName`s that callers may use."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Requests to Web Services at the same time, for each account."""
    waiting_room: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Operations of one account that may wait for their turn; those beyond it are turned away."""
    forward_deadline: Seconds = 20
    """Seconds until Web Services' verdict on an operation, its turn and all attempts included."""
    async_max_age: Seconds = 3600
    """Seconds after which an operation that a crash left behind is no longer forwarded."""
    view_limit: Annotated[int, Field(ge=1)] = 100_000
    """Operations that GET /operations knows; the oldest that have ended make room. Where as many are pending, callers
    get 429."""
    view_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    """Bytes of memory for the operations that GET /operations knows, about; the same bound as `view_limit`, whichever
    is reached first. An operation takes 1 to 2 KB, and more while a large request waits to be forwarded."""
    view_age: Seconds = 86_400
    """Seconds that GET /operations knows an operation for, once it has ended."""


class Privacy(Section):
    """Personal data in what is published."""

    phone_numbers: Literal["plain", "hmac", "omit"] = "plain"
    """As they are; or as their HMAC-SHA-256, so that equal ones stay equal; or not at all."""
    secret: Annotated[SecretStr | None, AfterValidator(rules.hard_to_guess)] = None
    """The key of the HMAC: with it the number behind a hash can be found. Changing the secret changes every hash."""

    across = staticmethod(rules.privacy_faults)


class Fleet(Section):
    """Several replicas that share the accounts."""

    enabled: bool = False
    """Whether this process shares the accounts with the other replicas of the same `kafka.topic_prefix`. Then Kafka's
    group `<prefix>.fleet` says which replica relays which account. Set it on every replica, with the same accounts."""
    replica: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")] | None = None
    """What this replica is called in GET /fleet and in the log. Default: the host name."""


class Log(Section):
    """The log, on standard error."""

    format: Literal["json", "console"] = "json"
    """`json` writes one JSON object per line. `console` writes text for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Of the bridge's own lines; libraries speak at warning and above."""


class Tracing(Section):
    """Traces, by OpenTelemetry; they need the extra `otel`."""

    enabled: bool = False
    """Whether spans are made and sent to the collector."""
    endpoint: Annotated[str, AfterValidator(rules.base_url)] = "http://127.0.0.1:4318"
    """Base URL of the collector that takes OTLP over HTTP, without /v1/traces."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of traces that is kept, of those that no caller has decided on already."""


class Settings(Section):
    """Everything that can be set."""

    web_services: WebServices
    accounts: tuple[Account, ...] = ()
    """Several accounts instead of the one of `web_services`. Never empty once validated: then it is that one."""
    kafka: Kafka
    http: Http = Field(default_factory=Http)
    operations: Operations = Operations()
    privacy: Privacy = Field(default_factory=Privacy)
    fleet: Fleet = Field(default_factory=Fleet)
    log: Log = Log()
    tracing: Tracing = Field(default_factory=Tracing)
    state_dir: Path | None = None
    """Directory for events of servers without the ack extension that are not in Kafka yet; made where it is missing."""

    across = staticmethod(rules.account_faults)

    @model_validator(mode="after")
    def _one_account_is_a_list_too(self) -> Self:
        one = self.web_services
        if one.username is not None and one.password is not None:
            account = Account(name=one.username, username=one.username, password=one.password)
            object.__setattr__(self, "accounts", (account,))
        return self


def load(config: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from the environment and, under it, from the TOML file `config`.

    Raises:
        SettingsError: with one line a fault, naming the variable, or the file and its key.
    """
    variables, faults = sources.read_environment(Settings, environment)
    file: dict[str, Any] = {}
    if config is not None:
        try:
            file = sources.read_file(config)
        except ValueError as error:  # what the file would have held is no fault of its own
            raise SettingsError([*faults, f"{config}: {error}"]) from None
    # Both sections are there, so that each missing variable is named, not its section.
    values = sources.merge({"web_services": {}, "kafka": {}}, sources.merge(file, variables))
    settings = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for line in error.errors(include_input=False):
            location = line["loc"]
            place = sources.outside_lists(location)
            in_file = sources.at(file, place) is not None and isinstance(sources.at(variables, place), dict | None)
            name = f"{config}: {sources.dotted(location)}" if in_file else sources.variable(location)
            faults.append(f"{name}: {line['msg']}")
    if settings is None or faults:
        raise SettingsError(list(dict.fromkeys(faults)))
    return settings


def masked(settings: BaseModel) -> dict[str, Any]:
    """Return the settings as plain values for the log, each secret as `***`."""
    return {name: _masked(value) for name, value in settings}


def _masked(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return masked(value)
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | frozenset):
        items = [_masked(item) for item in value]
        return items if isinstance(value, tuple) else sorted(items)
    return value
