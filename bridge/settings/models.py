"""The models of all settings. `make configuration` writes the docstrings of the fields to docs/configuration.md."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- pydantic reads the annotations
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    FilePath,
    SecretStr,
    model_validator,
)

from bridge.settings import rules
from bridge.settings.section import Section

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Account(Section):
    """One Web Services account: one CometD session and one relay."""

    name: Annotated[str, Field(pattern=f"^{rules.ACCOUNT_NAME.pattern}$")]
    """Name of the account in `X-Account`, events, metrics and the log: up to 64 letters, digits and `._@-`."""
    username: Annotated[str, AfterValidator(rules.basic_user)]
    """User name of the account at Web Services."""
    password: Annotated[SecretStr, Field(min_length=1)]
    """Password at Web Services, which also encrypts the account's session data in Kafka."""


class AccountList(Section):
    """The content of the accounts file."""

    accounts: Annotated[tuple[Account, ...], AfterValidator(rules.some)]

    across = staticmethod(rules.repeated_accounts)


class WebServices(Section):
    """Connection to Web Services, and the account if there is only one."""

    url: Annotated[str, AfterValidator(rules.base_url)]
    """Base URL of Web Services, without /api/v2."""
    username: Annotated[str, AfterValidator(rules.basic_user)] | None = None
    """User name of the only account, and also its name in the bridge. Required unless `accounts` is set."""
    password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Password of the only account. The password also encrypts the session data in Kafka. Required unless `accounts` is
    set."""
    notifications_path: Annotated[str, Field(pattern=r"^/")] = "/api/v2/notifications"
    """Path of the CometD endpoint."""
    start_voice_session: bool = False
    """Whether to start a contact centre session after each subscription. Some sites require this."""
    channels: tuple[str, ...] = ("/v2/me/*", "/me/internal")
    """CometD channels to subscribe to. The bridge is not ready while the server refuses one of these channels."""
    optional_channels: frozenset[str] = frozenset()
    """Channels of the list `channels` that the server may refuse while the bridge stays ready."""
    max_interval: Seconds = 10
    """Seconds for which the server keeps a silent session (maxInterval). Used if the server's advice has no value."""
    request_timeout: Seconds = 10
    """Deadline of each request to Web Services except the long poll, in seconds."""
    max_reply_bytes: Annotated[int, Field(ge=1 << 20)] = 128 << 20
    """Limit for a CometD reply in bytes, after decompression. In the reply to a poll the limit applies to each message.
    The limit for REST replies is always 1 MiB."""
    login_retry_interval: Annotated[float, Field(ge=30)] = 60
    """Seconds between two logins while the password is refused. Frequent attempts could lock the account."""
    ca_file: FilePath | None = None
    """CA file (PEM) for the certificate of Web Services. Default: the system's CAs."""
    client_cert_file: FilePath | None = None
    """PEM file of the client certificate, if Web Services asks for one."""
    client_key_file: FilePath | None = None
    """PEM file of the client certificate's private key. Default: the key is in `client_cert_file`."""
    client_key_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Passphrase of the client certificate's private key."""
    proxy: Annotated[str, AfterValidator(rules.proxy_url)] | None = None
    """HTTP proxy for requests to Web Services: `http://host:port`."""
    proxy_username: Annotated[str, AfterValidator(rules.basic_user)] | None = None
    """User name for the proxy."""
    proxy_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Password for the proxy."""

    across = staticmethod(rules.connection_faults)


class Delivery(StrEnum):
    """The delivery guarantee for events."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


class Registry(Section):
    """The schema registry, which is needed to write in a format other than json, and to read Avro values."""

    url: Annotated[str, AfterValidator(rules.registry_url)] | None = None
    """URL of a registry with Confluent's API. Required unless `kafka.format` is json."""
    username: Annotated[str, AfterValidator(rules.basic_user)] | None = None
    """User name for the registry."""
    password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Password for the registry."""
    ssl_cafile: FilePath | None = None
    """CA file (PEM) for the registry's certificate. Default: the system's CAs."""
    ssl_certfile: FilePath | None = None
    """PEM file of the client certificate, if the registry asks for one."""
    ssl_keyfile: FilePath | None = None
    """PEM file of the client certificate's private key."""
    ssl_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Passphrase of the client certificate's private key."""
    auto_register: bool = True
    """Whether the bridge registers missing schemas. If false, the bridge can't write events until somebody has
    registered their schemas."""
    subject_naming: Literal["topic", "record"] = "topic"
    """Subject of a schema in the registry. `topic` means `<topic>-value` (TopicNameStrategy). `record` means the name
    of the record type (RecordNameStrategy)."""
    request_timeout: Seconds = 10
    """Deadline of each lookup or registration, in seconds."""

    across = staticmethod(rules.registry_faults)


class Kafka(Section):
    """The Kafka cluster."""

    bootstrap_servers: Annotated[str, AfterValidator(rules.servers)]
    """Kafka brokers to connect to first, as `host:port`. Separate several brokers by commas."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = "gws"
    """Prefix of the names of all topics and of all transactional ids."""
    delivery: Delivery = Delivery.EXACTLY_ONCE
    """Guarantee for consumers. `at-least-once` uses no transactions, so after a failure consumers may see an event
    twice, with the same `ce_id`."""
    format: Literal["json", "json-registry", "avro-registry"] = "json"
    """Format of the values: plain JSON, or JSON or Avro in the wire format of the schema registry."""
    registry: Registry = Field(default_factory=Registry)
    compression: Literal["none", "gzip", "lz4", "zstd"] = "none"
    """Compression of the records that the bridge sends to Kafka."""
    create_topics: bool = True
    """Whether the bridge creates missing topics. The cluster must give the bridge this right."""
    partitions: Annotated[int, Field(ge=1)] = 6
    """Number of partitions of the topics that the bridge creates."""
    slots: Annotated[int, Field(ge=1, le=1000)] = 6
    """Number of partitions of the position topic, if the bridge creates the topic. The accounts of a partition (a slot)
    share transactions."""
    replication_factor: Annotated[int, Field(ge=-1)] = -1
    """Replication factor of topics that the bridge creates. -1 means the cluster's default."""
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Days for which Kafka keeps acknowledgements, user events, operations and session events, if the bridge creates
    their topics. The bridge then creates the operations topic without compaction, so that every event of an operation
    stays. Default: the cluster's retention. Topics that exist are not changed."""
    request_timeout: Seconds = 10
    """Deadline of each request to Kafka, in seconds. After a missed deadline the bridge makes a new Kafka producer."""
    check_crcs: bool = True
    """Whether to verify the checksums of records read from Kafka. Only librdkafka's mock cluster needs `false`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka's own setting of this name."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism. Required with SASL, like `sasl_username` and `sasl_password`."""
    sasl_username: str | None = None
    """User name for Kafka."""
    sasl_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Password for Kafka."""
    ssl_cafile: FilePath | None = None
    """CA file (PEM) for the brokers' certificates. Default: the system's CAs."""
    ssl_certfile: FilePath | None = None
    """PEM file of the client certificate, if Kafka asks for one."""
    ssl_keyfile: FilePath | None = None
    """PEM file of the client certificate's private key. Default: the key is in `ssl_certfile`."""
    ssl_password: Annotated[SecretStr | None, Field(min_length=1)] = None
    """Passphrase of the client certificate's private key."""

    across = staticmethod(rules.kafka_faults)


class Authentication(Section):
    """Authentication of REST callers."""

    method: Literal["none", "tokens", "jwt"] = "none"
    """Method of authentication. `tokens` needs `tokens_file`. `jwt` needs `jwks_url`, `issuer` and `audience`."""
    tokens_file: FilePath | None = None
    """File of static tokens, one `name:sha256-hex[:scopes]` in each line. The bridge notices changes of the file."""
    jwks_url: Annotated[str, AfterValidator(rules.keys_url)] | None = None
    """URL of the public keys (JWKS) for the callers' JSON Web Tokens. The URL must be https, except on this machine."""
    jwks_cafile: FilePath | None = None
    """CA file (PEM) for the certificate of `jwks_url`. Default: the system's CAs."""
    issuer: Annotated[str, Field(min_length=1)] | None = None
    """Issuer that a token must have (claim `iss`)."""
    audience: Annotated[str, Field(min_length=1)] | None = None
    """Audience that a token must have (claim `aud`)."""
    algorithms: Annotated[tuple[Algorithm, ...], AfterValidator(rules.some)] = ("RS256", "ES256")
    """Accepted signature algorithms. Only asymmetric algorithms are possible. With a symmetric algorithm, an attacker
    could sign tokens with the public key."""

    across = staticmethod(rules.authentication_faults)


class Http(Section):
    """The REST API."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on. An address other than loopback requires authentication or `allow_unauthenticated`."""
    port: Port = 8080
    """Port to listen on. 0 means any free port, which the log then shows."""
    management_port: Port | None = None
    """Separate port for health and metrics, without authentication. Default: `http.port` serves health and metrics."""
    allowed_hosts: Annotated[tuple[str, ...], AfterValidator(rules.host_names)] = ()
    """Host names, without ports, that callers may use in the header Host. `["*"]` allows any name. IP addresses,
    `localhost` and `http.host` are always allowed. Health and metrics allow any name. An empty list allows no other
    name if `authentication.method` is `none`, and any name if it is `tokens` or `jwt`."""
    authentication: Authentication = Field(default_factory=Authentication)
    allow_unauthenticated: bool = False
    """Whether callers from other machines may call without authentication."""
    console: bool = True
    """Whether to serve the console, pages for people, under /console."""
    console_secret: Annotated[SecretStr | None, AfterValidator(rules.hard_to_guess)] = None
    """Key of the console's cookies, at least 16 characters. Replicas behind one address need the same secret. Without
    this setting each process makes a random key at its start, so people must sign in again after a restart."""

    across = staticmethod(rules.http_faults)


class Operations(Section):
    """Operations that the bridge forwards to Web Services for its callers."""

    acknowledgement_timeout: Seconds = 30
    """Seconds that the bridge waits for the acknowledgement of an operation. After this time the operation is
    `timed-out`."""
    enabled: Annotated[tuple[str, ...], Field(min_length=1)] = ("DoNotCallRecord",)
    """Names of the operations that callers may request (`operationName`)."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 32
    """Limit for simultaneous requests to Web Services, for each account."""
    waiting_room: Annotated[int, Field(ge=0, le=100_000)] = 256
    """Limit for operations of an account that wait because of `concurrency`. Further calls are refused."""
    forward_deadline: Seconds = 20
    """Seconds that an operation has from the call to the reply of Web Services, with waiting and all attempts."""
    async_max_age: Seconds = 3600
    """Greatest age, in seconds, at which the bridge still forwards an operation that a crash interrupted."""
    view_limit: Annotated[int, Field(ge=1)] = 100_000
    """Limit for the operations that the bridge keeps in memory for GET /operations. Beyond this limit, the bridge drops
    the oldest operations that have ended. If all operations are pending, callers get 429."""
    view_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    """Limit for the memory of these operations in bytes (estimated), in addition to `view_limit`. The limit that is
    reached first applies. An operation takes 1 to 2 KB, and more while a large request waits to be forwarded."""
    view_age: Seconds = 86_400
    """Seconds that an operation stays in memory for GET /operations after it has ended."""
    request_topic: bool = False
    """Whether to take requests from the topic `<prefix>.requests.v1`, too. Every program that may write to this topic
    may request operations. All replicas read it as the consumer group `<prefix>.requests`."""


class Privacy(Section):
    """Phone numbers in published events."""

    phone_numbers: Literal["plain", "hmac", "omit"] = "plain"
    """`plain` publishes phone numbers unchanged. `hmac` publishes the HMAC-SHA-256 of each number, so equal numbers get
    equal hashes. `omit` removes phone numbers."""
    secret: Annotated[SecretStr | None, AfterValidator(rules.hard_to_guess)] = None
    """Key of the HMAC, at least 16 characters. Anybody who has the key can find the number of a hash. Changing the key
    changes every hash."""

    across = staticmethod(rules.privacy_faults)


class Evidence(Section):
    """Evidence: signed files that show what became of a request."""

    key_file: FilePath | None = None
    """PEM file of the Ed25519 private key that signs evidence and archives. Default: evidence is not signed, so a
    reader can't verify who made it."""
    timestamp_url: Annotated[str, AfterValidator(rules.registry_url)] | None = None
    """URL of a time-stamping authority (RFC 3161), which confirms when evidence was signed. Needs the extra `evidence`.
    Default: the time is only that of the bridge's own clock."""
    deadline_days: Annotated[int, Field(ge=1, le=3650)] = 10
    """Calendar days within which a request must be acknowledged. Evidence says of each operation whether it met this
    deadline. 10 calendar days are never longer than 10 business days."""

    across = staticmethod(rules.evidence_faults)


class Fleet(Section):
    """Several replicas that share the accounts."""

    enabled: bool = False
    """Whether this process shares the accounts with the other replicas of the same `kafka.topic_prefix`. If true,
    Kafka's consumer group `<prefix>.fleet` decides which replica relays which account. All replicas need the same value
    and the same accounts."""
    replica: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")] | None = None
    """Name of this replica in GET /fleet and in the log. Default: the host name."""
    session_timeout: Annotated[float, Field(ge=2, le=60)] = 6
    """Seconds without a heartbeat from a replica after which Kafka gives the replica's slots to the other replicas. Use
    the same value on every replica. Brokers refuse less than their `group.min.session.timeout.ms`, by default 6 s. If
    the value is more than `web_services.max_interval` minus 3 s, the CometD sessions of a replica that dies may be
    lost."""


class Log(Section):
    """The log, on standard error."""

    format: Literal["json", "console"] = "json"
    """`json` writes one JSON object per line. `console` writes text for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of lines to log. Lines of libraries are never logged below `warning`."""


class Tracing(Section):
    """Traces by OpenTelemetry. Tracing needs the extra `otel`."""

    enabled: bool = False
    """Whether the bridge creates spans and sends them to the collector."""
    endpoint: Annotated[str, AfterValidator(rules.base_url)] = "http://127.0.0.1:4318"
    """Base URL of a collector for OTLP over HTTP, without /v1/traces."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of traces to record. If the caller sends a `traceparent`, that header decides instead."""


class Settings(Section):
    """All settings."""

    web_services: WebServices
    accounts: tuple[Account, ...] = ()
    """Several accounts, instead of the one in `web_services`. Validation adds the account in `web_services` here."""
    accounts_file: Path | None = None
    """TOML file with `[[accounts]]`, instead of the account in `web_services` and of `accounts`. The bridge reads the
    file again when its content changes, so accounts come and go without a restart."""
    kafka: Kafka
    http: Http = Field(default_factory=Http)
    operations: Operations = Operations()
    privacy: Privacy = Field(default_factory=Privacy)
    evidence: Evidence = Field(default_factory=Evidence)
    fleet: Fleet = Field(default_factory=Fleet)
    log: Log = Log()
    tracing: Tracing = Field(default_factory=Tracing)
    state_dir: Path | None = None
    """Directory where the bridge saves events that are not yet in Kafka, if the CometD server has no ack extension. The
    bridge creates the directory if it is missing."""

    across = staticmethod(rules.account_faults)

    @model_validator(mode="after")
    def _one_account_is_a_list_too(self) -> Self:
        one = self.web_services
        if one.username is not None and one.password is not None:
            account = Account(name=one.username, username=one.username, password=one.password)
            object.__setattr__(self, "accounts", (account,))
        return self
