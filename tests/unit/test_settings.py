from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SettingsError
from bridge.settings import Delivery, Kafka, Settings, WebServices, load, masked

SECRET = "hunter2-hunter2"
ENVIRONMENT = {
    "BRIDGE_WEB_SERVICES__URL": "http://gws.example:8080/",
    "BRIDGE_WEB_SERVICES__USERNAME": "bridge@example",
    "BRIDGE_WEB_SERVICES__PASSWORD": SECRET,
    "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "kafka-1:9092, kafka-2:9092",
}
WITHOUT_ACCOUNT = {
    name: value for name, value in ENVIRONMENT.items() if not name.endswith(("__USERNAME", "__PASSWORD"))
}


def faults(environment: dict[str, str], config: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(config, environment)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return caught.value.faults


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "bridge.toml"


# What the contract names, with its defaults.


@pytest.mark.parametrize(
    ("variable", "default", "text", "value"),
    [
        ("BRIDGE_WEB_SERVICES__START_VOICE_SESSION", False, "true", True),
        ("BRIDGE_TRACING__ENABLED", False, "true", True),
        ("BRIDGE_TRACING__ENDPOINT", "http://127.0.0.1:4318", "https://otlp.example", "https://otlp.example"),
        ("BRIDGE_TRACING__SAMPLE_RATIO", 1.0, "0.1", 0.1),
        ("BRIDGE_WEB_SERVICES__CA_FILE", None, __file__, Path(__file__)),
        ("BRIDGE_WEB_SERVICES__CLIENT_CERT_FILE", None, __file__, Path(__file__)),
        ("BRIDGE_WEB_SERVICES__CLIENT_KEY_FILE", None, __file__, Path(__file__)),
        ("BRIDGE_WEB_SERVICES__PROXY", None, "http://proxy:3128", "http://proxy:3128/"),
        ("BRIDGE_KAFKA__TOPIC_PREFIX", "gws", "site-1", "site-1"),
        ("BRIDGE_KAFKA__DELIVERY", Delivery.EXACTLY_ONCE, "at-least-once", Delivery.AT_LEAST_ONCE),
        ("BRIDGE_KAFKA__FORMAT", "json", "json", "json"),
        ("BRIDGE_KAFKA__REGISTRY__URL", None, "http://registry:8081/", "http://registry:8081"),
        ("BRIDGE_KAFKA__REGISTRY__SSL_CAFILE", None, __file__, Path(__file__)),
        ("BRIDGE_KAFKA__REGISTRY__SSL_CERTFILE", None, __file__, Path(__file__)),
        ("BRIDGE_KAFKA__REGISTRY__AUTO_REGISTER", True, "false", False),
        ("BRIDGE_KAFKA__REGISTRY__SUBJECT_NAMING", "topic", "record", "record"),
        ("BRIDGE_KAFKA__REGISTRY__REQUEST_TIMEOUT", 10, "2.5", 2.5),
        ("BRIDGE_KAFKA__SECURITY_PROTOCOL", "PLAINTEXT", "SSL", "SSL"),
        ("BRIDGE_KAFKA__SASL_MECHANISM", None, "SCRAM-SHA-512", "SCRAM-SHA-512"),
        ("BRIDGE_KAFKA__SASL_USERNAME", None, "relay", "relay"),
        ("BRIDGE_KAFKA__SSL_CAFILE", None, __file__, Path(__file__)),
        ("BRIDGE_KAFKA__SSL_CERTFILE", None, __file__, Path(__file__)),
        ("BRIDGE_KAFKA__SSL_KEYFILE", None, __file__, Path(__file__)),
        ("BRIDGE_HTTP__HOST", "127.0.0.1", "::1", "::1"),
        ("BRIDGE_HTTP__PORT", 8080, "9090", 9090),
        ("BRIDGE_HTTP__MANAGEMENT_PORT", None, "9091", 9091),
        ("BRIDGE_HTTP__ALLOW_UNAUTHENTICATED", False, "true", True),
        ("BRIDGE_HTTP__AUTHENTICATION__METHOD", "none", "none", "none"),
        ("BRIDGE_HTTP__AUTHENTICATION__TOKENS_FILE", None, __file__, Path(__file__)),
        ("BRIDGE_HTTP__AUTHENTICATION__JWKS_URL", None, "https://id.example/jwks", "https://id.example/jwks"),
        ("BRIDGE_HTTP__AUTHENTICATION__ISSUER", None, "https://id.example/", "https://id.example/"),
        ("BRIDGE_HTTP__AUTHENTICATION__AUDIENCE", None, "bridge", "bridge"),
        ("BRIDGE_HTTP__AUTHENTICATION__ALGORITHMS", ("RS256", "ES256"), '["EdDSA"]', ("EdDSA",)),
        ("BRIDGE_OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT", 30, "2.5", 2.5),
        ("BRIDGE_PRIVACY__PHONE_NUMBERS", "plain", "omit", "omit"),
        ("BRIDGE_STATE_DIR", None, "/var/lib/bridge", Path("/var/lib/bridge")),
        ("BRIDGE_LOG__FORMAT", "json", "console", "console"),
        ("BRIDGE_LOG__LEVEL", "info", "debug", "debug"),
    ],
)
def test_documented_setting(variable: str, default: object, text: str, value: object) -> None:
    """Every setting of the contract has its documented default and is set by its documented variable."""

    def read(environment: dict[str, str]) -> object:
        found: Any = load(environment=environment)
        for part in variable.removeprefix("BRIDGE_").lower().split("__"):
            found = getattr(found, part)
        return found

    assert read(ENVIRONMENT) == default
    assert read(ENVIRONMENT | {variable: text}) == value


def test_required_settings() -> None:
    """Without any setting each required variable is named, all in one go."""
    assert sorted(faults({})) == [
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS: is required",
        "BRIDGE_WEB_SERVICES__PASSWORD: is required",
        "BRIDGE_WEB_SERVICES__URL: is required",
        "BRIDGE_WEB_SERVICES__USERNAME: is required",
    ]


def test_one_account() -> None:
    """Without a list of accounts there is one, named by its username."""
    settings = load(environment=ENVIRONMENT)
    assert [(account.name, account.username) for account in settings.accounts] == [("bridge@example",) * 2]
    assert settings.accounts[0].password.get_secret_value() == SECRET
    assert settings.web_services.url == "http://gws.example:8080"
    assert settings.kafka.bootstrap_servers == "kafka-1:9092,kafka-2:9092"


def test_settings_in_code_obey_the_same_rules() -> None:
    """Settings that are made in code, not loaded, can't lack an account either."""
    with pytest.raises(ValueError, match="is required"):
        Settings(web_services=WebServices.model_validate({"url": "http://x"}), kafka=Kafka(bootstrap_servers="k:1"))


# Sources.


def test_environment_wins_over_file(config: Path) -> None:
    """A variable wins over the same setting of the file, and leaves the file's other settings alone."""
    config.write_text('[kafka]\nbootstrap_servers = "file:1"\ntopic_prefix = "file"\npartitions = 3\n')
    kafka = load(config, ENVIRONMENT | {"BRIDGE_KAFKA__TOPIC_PREFIX": "variable"}).kafka
    assert (kafka.bootstrap_servers, kafka.topic_prefix, kafka.partitions) == (
        "kafka-1:9092,kafka-2:9092",
        "variable",
        3,
    )


def test_secret_of_the_environment_wins_over_file(config: Path, tmp_path: Path) -> None:
    """A secret in a variable, or in the file that a variable names, wins over both forms in the configuration file."""
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    variable = "BRIDGE_WEB_SERVICES__PASSWORD"
    for line in ('password = "old"', f'password_file = "{tmp_path / "old"}"'):
        config.write_text(
            f'[web_services]\nurl = "http://x"\nusername = "u"\n{line}\n[kafka]\nbootstrap_servers = "k:1"\n'
        )
        assert load(config, {}).accounts[0].password.get_secret_value() == "old"
        for environment in ({variable: "new"}, {f"{variable}_FILE": str(tmp_path / "new")}):
            assert load(config, environment).accounts[0].password.get_secret_value() == "new"


def test_section_as_json() -> None:
    """A section may be given as JSON; a single variable of it wins."""
    environment = ENVIRONMENT | {
        "BRIDGE_HTTP": '{"host": "::1", "port": 1}',
        "BRIDGE_HTTP__PORT": "2",
        "BRIDGE_WEB_SERVICES__CHANNELS": '["/v2/me/*"]',
    }
    settings = load(environment=environment)
    assert (settings.http.host, settings.http.port) == ("::1", 2)
    assert settings.web_services.channels == ("/v2/me/*",)


def test_empty_variable_is_not_set() -> None:
    """An empty variable, as compose files leave them, counts as not set."""
    settings = load(environment=ENVIRONMENT | {"BRIDGE_STATE_DIR": "", "BRIDGE_ACCOUNTS": ""})
    assert settings.state_dir is None


@pytest.mark.parametrize("section", ["web_services", "kafka", "registry", "privacy"])
def test_secret_from_file(tmp_path: Path, section: str) -> None:
    """A secret is read from the file that `*_FILE` names, without the newline at its end."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET} \n")
    environment = dict(ENVIRONMENT)
    if section == "web_services":
        del environment["BRIDGE_WEB_SERVICES__PASSWORD"]
        secret = load(environment=environment | {"BRIDGE_WEB_SERVICES__PASSWORD_FILE": str(file)}).accounts[0].password
    elif section == "privacy":
        privacy = load(environment=environment | {"BRIDGE_PRIVACY__SECRET_FILE": str(file)}).privacy
        assert privacy.secret is not None
        secret = privacy.secret
    elif section == "registry":
        environment["BRIDGE_KAFKA__REGISTRY__USERNAME"] = "bridge"
        found = load(environment=environment | {"BRIDGE_KAFKA__REGISTRY__PASSWORD_FILE": str(file)})
        assert found.kafka.registry.password is not None
        secret = found.kafka.registry.password
    else:
        kafka = load(environment=environment | {"BRIDGE_KAFKA__SASL_PASSWORD_FILE": str(file)}).kafka
        assert kafka.sasl_password is not None
        secret = kafka.sasl_password
    assert secret.get_secret_value() == f"{SECRET} "


def test_accounts_from_file(config: Path, tmp_path: Path) -> None:
    """The file's accounts keep their order, and each may have its password in a file."""
    (tmp_path / "secret").write_text("second\n")
    config.write_text(
        '[[accounts]]\nname = "one"\nusername = "u1"\npassword = "first"\n'
        f'[[accounts]]\nname = "two"\nusername = "u2"\npassword_file = "{tmp_path / "secret"}"\n'
    )
    accounts = load(config, WITHOUT_ACCOUNT).accounts
    assert [(one.name, one.password.get_secret_value()) for one in accounts] == [("one", "first"), ("two", "second")]


def test_kubernetes_service_links_are_no_settings() -> None:
    """The variables that Kubernetes makes of a Service named bridge don't stop the start."""
    links = {
        "BRIDGE_SERVICE_HOST": "10.0.0.1",
        "BRIDGE_SERVICE_PORT_HTTP": "80",
        "BRIDGE_PORT": "tcp://10.0.0.1:80",
        "BRIDGE_PORT_80_TCP_ADDR": "10.0.0.1",
        "BRIDGE_SIMULATOR_SERVICE_HOST": "10.0.0.2",
    }
    assert load(environment=ENVIRONMENT | links | {"BRIDGE_REQUIRE_REAL": "1"}) == load(environment=ENVIRONMENT)


# Faults.


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"BRIDGE_HTP__PORT": "1"}, "BRIDGE_HTP__PORT: unknown setting; did you mean BRIDGE_HTTP__PORT?"),
        ({"BRIDGE_HTTP_PORT": "1"}, "BRIDGE_HTTP_PORT: unknown setting; did you mean BRIDGE_HTTP__PORT?"),
        ({"BRIDGE_PORT": "1"}, "BRIDGE_PORT: unknown setting"),
        ({"BRIDGE_HTTP__PORT": SECRET}, "BRIDGE_HTTP__PORT: should be a valid integer"),
        ({"BRIDGE_KAFKA__DELIVERY": SECRET}, "BRIDGE_KAFKA__DELIVERY: should be 'exactly-once' or 'at-least-once'"),
        ({"BRIDGE_KAFKA__REQUEST_TIMEOUT": "inf"}, "BRIDGE_KAFKA__REQUEST_TIMEOUT: should be a finite number"),
        ({"BRIDGE_KAFKA__SSL_CAFILE": f"/{SECRET}"}, "BRIDGE_KAFKA__SSL_CAFILE: does not point to a file"),
        (
            {"BRIDGE_KAFKA__SASL_PASSWORD_FILE": f"/{SECRET}"},
            "BRIDGE_KAFKA__SASL_PASSWORD_FILE: can't be read: No such",
        ),
        (
            {"BRIDGE_WEB_SERVICES__PASSWORD_FILE": "/dev/null"},
            "BRIDGE_WEB_SERVICES__PASSWORD_FILE: is set beside password; keep one",
        ),
        ({"BRIDGE_WEB_SERVICES__LOGIN_RETRY_INTERVAL": "29"}, "BRIDGE_WEB_SERVICES__LOGIN_RETRY_INTERVAL: should be"),
        ({"BRIDGE_WEB_SERVICES__PROXY": f"http://u:{SECRET}@p"}, "BRIDGE_WEB_SERVICES__PROXY: must hold no user name"),
        ({"BRIDGE_WEB_SERVICES__PROXY": "https://p"}, "BRIDGE_WEB_SERVICES__PROXY: should be http://host:port"),
        ({"BRIDGE_WEB_SERVICES__PROXY_PASSWORD": SECRET}, "BRIDGE_WEB_SERVICES__PROXY: goes without a login, or with"),
        (
            {"BRIDGE_WEB_SERVICES__URL": "https://h", "BRIDGE_WEB_SERVICES__CA_FILE": __file__},
            "BRIDGE_WEB_SERVICES__CA_FILE: holds no certificate that can be read",
        ),
        (
            {"BRIDGE_WEB_SERVICES__URL": "https://h", "BRIDGE_WEB_SERVICES__CLIENT_KEY_FILE": __file__},
            "BRIDGE_WEB_SERVICES__CLIENT_CERT_FILE: is required with client_key_file",
        ),
        (
            {"BRIDGE_KAFKA__SECURITY_PROTOCOL": "SSL", "BRIDGE_KAFKA__SSL_CERTFILE": __file__},
            "BRIDGE_KAFKA__SSL_CERTFILE: has no certificate with a key that fits it",
        ),
        ({"BRIDGE_WEB_SERVICES__URL": SECRET}, "BRIDGE_WEB_SERVICES__URL: should be a valid URL"),
        ({"BRIDGE_WEB_SERVICES__URL": f"http://u:{SECRET}@h"}, "BRIDGE_WEB_SERVICES__URL: must hold no user name"),
        ({"BRIDGE_WEB_SERVICES__URL": f"http://{SECRET}@h"}, "BRIDGE_WEB_SERVICES__URL: must hold no user name"),
        ({"BRIDGE_WEB_SERVICES__URL": f"http://h?p={SECRET}"}, "BRIDGE_WEB_SERVICES__URL: must end with the path"),
        ({"BRIDGE_WEB_SERVICES__URL": "http://h/api/v2"}, "BRIDGE_WEB_SERVICES__URL: is the base URL: leave /api/v2"),
        ({"BRIDGE_WEB_SERVICES__USERNAME": f"u:{SECRET}"}, "BRIDGE_WEB_SERVICES__USERNAME: should be a user name"),
        ({"BRIDGE_WEB_SERVICES__USERNAME": "ü"}, "BRIDGE_WEB_SERVICES__USERNAME: can't serve as the account's name"),
        (
            {"BRIDGE_KAFKA__BOOTSTRAP_SERVERS": f"u:{SECRET}@k:1"},
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS: should be host:port",
        ),
        ({"BRIDGE_KAFKA__FORMAT": "avro-registry"}, "BRIDGE_KAFKA__REGISTRY__URL: is required with avro-registry"),
        ({"BRIDGE_KAFKA__REGISTRY__URL": f"http://u:{SECRET}@h"}, "BRIDGE_KAFKA__REGISTRY__URL: must hold no user"),
        (
            {"BRIDGE_KAFKA__REGISTRY__PASSWORD": SECRET},
            "BRIDGE_KAFKA__REGISTRY__USERNAME: is required with password",
        ),
        (
            {"BRIDGE_KAFKA__REGISTRY__URL": "https://r", "BRIDGE_KAFKA__REGISTRY__SSL_KEYFILE": __file__},
            "BRIDGE_KAFKA__REGISTRY__SSL_CERTFILE: is required with ssl_keyfile",
        ),
        (
            {"BRIDGE_KAFKA__REGISTRY__URL": "https://r", "BRIDGE_KAFKA__REGISTRY__SSL_CAFILE": __file__},
            "BRIDGE_KAFKA__REGISTRY__SSL_CAFILE: holds no certificate that can be read",
        ),
        ({"BRIDGE_PRIVACY__PHONE_NUMBERS": "hmac"}, "BRIDGE_PRIVACY__SECRET: is required with hmac"),
        ({"BRIDGE_PRIVACY__SECRET": SECRET[:7]}, "BRIDGE_PRIVACY__SECRET: should have at least 16 characters"),
        ({"BRIDGE_ACCOUNTS": f"[{SECRET}"}, "BRIDGE_ACCOUNTS: is not JSON"),
        ({"BRIDGE_ACCOUNTS": "[" * 100_000}, "BRIDGE_ACCOUNTS: is not JSON"),
        ({"BRIDGE_ACCOUNTS": f'"{SECRET}"'}, "BRIDGE_ACCOUNTS: is not a JSON array"),
        ({"BRIDGE_LOG": f'{{"level": {SECRET}'}, "BRIDGE_LOG: is not JSON"),
        ({"BRIDGE_LOG": f'["{SECRET}"]'}, "BRIDGE_LOG: is not a JSON object"),
        ({"BRIDGE_LOG": f'{{"levl": "{SECRET}"}}'}, "BRIDGE_LOG__LEVL: unknown setting; did you mean level?"),
        ({"BRIDGE_LOG": f'{{"{SECRET}": 1}}'}, "BRIDGE_LOG: has an unknown key; there are format, level"),
        ({"BRIDGE_WEB_SERVICES__CHANNELS": "[1]"}, "BRIDGE_WEB_SERVICES__CHANNELS[0]: should be a valid string"),
    ],
)
def test_fault_names_the_variable(environment: dict[str, str], expected: str) -> None:
    """A wrong setting gives exactly one line, which names the variable and not the value."""
    found = faults(ENVIRONMENT | environment)
    assert len(found) == 1, found
    assert found[0].startswith(expected)
    assert SECRET not in found[0]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({"name": "b", "username": "b"}, "BRIDGE_ACCOUNTS[1].password: is required"),
        ({"name": "b", "username": "b", "password": ""}, "BRIDGE_ACCOUNTS[1].password: is empty"),
        ({"name": "b", "username": "b", "password": 3}, "BRIDGE_ACCOUNTS[1].password: should be a valid string"),
        ({"name": "b", "username": "b", "password_file": 3}, "BRIDGE_ACCOUNTS[1].password_file: should be a path"),
        ({"name": "b", "username": "b", "password_file": "/dev/null"}, "BRIDGE_ACCOUNTS[1].password_file: is empty"),
        ({"name": SECRET + "/", "username": "b", "password": "p"}, "BRIDGE_ACCOUNTS[1].name: should match pattern"),
        (
            {"name": "a", "username": "b", "password": "p"},
            "BRIDGE_ACCOUNTS[1].name: is the name of another account too",
        ),
        ({"name": "b", "username": "a", "password": "p"}, "BRIDGE_ACCOUNTS[1].username: is the username of another"),
        (SECRET, "BRIDGE_ACCOUNTS[1]: should be a table of settings"),
        (
            {"name": "b", "username": "b", "password": "p", SECRET: 1},
            "BRIDGE_ACCOUNTS[1]: has an unknown key",
        ),
    ],
)
def test_fault_names_the_place_in_the_list(account: object, expected: str) -> None:
    """A fault of an account names its place in the list."""
    accounts = json.dumps([{"name": "a", "username": "a", "password": "p"}, account])
    found = faults(WITHOUT_ACCOUNT | {"BRIDGE_ACCOUNTS": accounts})
    assert len(found) == 1, found
    assert found[0].startswith(expected)
    assert SECRET not in found[0]


def test_account_in_two_places() -> None:
    """An account beside the list of accounts is a fault: it would be silently without effect."""
    accounts = json.dumps([{"name": "a", "username": "a", "password": "p"}])
    assert faults(ENVIRONMENT | {"BRIDGE_ACCOUNTS": accounts}) == [
        "BRIDGE_WEB_SERVICES__USERNAME: is set beside accounts; keep one of them",
        "BRIDGE_WEB_SERVICES__PASSWORD: is set beside accounts; keep one of them",
    ]


def test_sasl_is_whole() -> None:
    """A SASL protocol names each of the three settings that it lacks, beside the other faults."""
    environment = {"BRIDGE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "BRIDGE_KAFKA__SASL_MECHANISM": "PLAIN"}
    expected = [
        "BRIDGE_KAFKA__SASL_USERNAME: is required with SASL_SSL",
        "BRIDGE_KAFKA__SASL_PASSWORD: is required with SASL_SSL",
    ]
    assert faults(ENVIRONMENT | environment) == expected
    with_another = faults(ENVIRONMENT | environment | {"BRIDGE_HTTP__PORT": "x"})
    assert len(with_another) == 3
    assert set(with_another) > set(expected)


def test_faults_of_the_file(config: Path) -> None:
    """Faults of the file name the file and its key, in one go with those of the environment."""
    config.write_text(
        f'[http]\nport = "{SECRET}"\nhots = "{SECRET}"\n[kafka]\nformat = "xml"\n'
        '[[accounts]]\nname = "a"\nusername = "a"\n'
    )
    assert sorted(faults(WITHOUT_ACCOUNT | {"BRIDGE_LOG__LEVEL": SECRET, "BRIDGE_KAFKA__FORMAT": "yaml"}, config)) == [
        f"{config}: accounts[0].password: is required",
        f"{config}: http.hots: unknown setting; did you mean host?",
        f"{config}: http.port: should be a valid integer, unable to parse string as an integer",
        "BRIDGE_KAFKA__FORMAT: should be 'json', 'json-registry' or 'avro-registry'",
        "BRIDGE_LOG__LEVEL: should be 'debug', 'info', 'warning' or 'error'",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"kafka = {SECRET}".encode(), "is not TOML (at line 1, column 9)"),
        (b"\xff", "is not UTF-8"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (None, "can't be read: No such file or directory"),
        (b"kafka = 3", "kafka: should be a table of settings"),
    ],
)
def test_unreadable_file(config: Path, content: bytes | None, expected: str) -> None:
    """A file that can't be read gives one line, and no follow-up faults for what it would have held."""
    if content is not None:
        config.write_bytes(content)
    assert faults(ENVIRONMENT, config) == [f"{config}: {expected}"]


# Secrets.


def test_secrets_never_show() -> None:
    """Neither repr nor str nor the masked settings show a secret."""
    settings = load(
        environment=ENVIRONMENT
        | {"BRIDGE_KAFKA__SASL_PASSWORD": SECRET, "BRIDGE_KAFKA__SSL_PASSWORD": SECRET}
        | {
            "BRIDGE_PRIVACY__SECRET": SECRET * 2,
            "BRIDGE_KAFKA__REGISTRY__USERNAME": "u",
            "BRIDGE_KAFKA__REGISTRY__PASSWORD": SECRET,
        }
    )
    shown = masked(settings)
    assert shown["kafka"]["sasl_password"] == shown["accounts"][0]["password"] == "***"
    assert shown["kafka"]["topic_prefix"] == "gws"
    for text in (repr(settings), str(settings), json.dumps(shown), settings.model_dump_json()):
        assert SECRET not in text


SETTABLE = sorted(
    f"BRIDGE_{section.upper()}{f'__{name.upper()}' if name else ''}"
    for section, field in Settings.model_fields.items()
    for name in ("", *getattr(field.annotation, "model_fields", ()))
)


@given(
    variable=st.sampled_from(SETTABLE),
    shape=st.sampled_from(
        [
            "{}",
            "http://u:{}@host/",
            "http://{}@host",
            "[{}",
            '["{}"]',
            '{{"{}": 1}}',
            '[{{"name": "{}/"}}]',
            '{{"url": "{}"}}',
        ]
    ),
    secret=st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789!$%", min_size=12, max_size=24),
)
def test_faults_never_show_a_value(variable: str, shape: str, secret: str) -> None:
    """Whichever setting a secret is put into by mistake, and in whatever shape, no fault quotes it."""
    told = ""
    try:
        load(environment=ENVIRONMENT | {variable: shape.format(secret)})
    except SettingsError as error:
        told = "".join(traceback.format_exception(error))
    assert secret not in told
