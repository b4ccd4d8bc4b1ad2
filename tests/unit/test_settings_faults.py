"""Each fault of the settings is told in one line that names the variable and shows no secret."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import SettingsError
from bridge.settings import Settings, changed, load
from tests.unit.settings_parts import ENVIRONMENT, SECRET, WITHOUT_ACCOUNT, faults

USER = {"BRIDGE_WEB_SERVICES__USERNAME": "agent"}


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
        ({"BRIDGE_CONFGI": "1"}, "BRIDGE_CONFGI: unknown setting; did you mean BRIDGE_CONFIG?"),
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
            "BRIDGE_WEB_SERVICES__PASSWORD_FILE: is set together with password; remove one",
        ),
        ({"BRIDGE_WEB_SERVICES__LOGIN_RETRY_INTERVAL": "29"}, "BRIDGE_WEB_SERVICES__LOGIN_RETRY_INTERVAL: should be"),
        (
            {"BRIDGE_WEB_SERVICES__PROXY": f"http://u:{SECRET}@p"},
            "BRIDGE_WEB_SERVICES__PROXY: must not contain a user name",
        ),
        ({"BRIDGE_WEB_SERVICES__PROXY": "https://p"}, "BRIDGE_WEB_SERVICES__PROXY: should be http://host:port"),
        ({"BRIDGE_WEB_SERVICES__PROXY_PASSWORD": SECRET}, "BRIDGE_WEB_SERVICES__PROXY: needs both proxy_username"),
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
            "BRIDGE_KAFKA__SSL_CERTFILE: its certificate and key can't be loaded",
        ),
        ({"BRIDGE_WEB_SERVICES__URL": SECRET}, "BRIDGE_WEB_SERVICES__URL: should be a valid URL"),
        (
            {"BRIDGE_WEB_SERVICES__URL": f"http://u:{SECRET}@h"},
            "BRIDGE_WEB_SERVICES__URL: must not contain a user name",
        ),
        ({"BRIDGE_WEB_SERVICES__URL": f"http://{SECRET}@h"}, "BRIDGE_WEB_SERVICES__URL: must not contain a user name"),
        ({"BRIDGE_WEB_SERVICES__URL": f"http://h?p={SECRET}"}, "BRIDGE_WEB_SERVICES__URL: must end after the path"),
        (
            {"BRIDGE_WEB_SERVICES__URL": "http://h/api/v2"},
            "BRIDGE_WEB_SERVICES__URL: must be the base URL, without /api/v2",
        ),
        ({"BRIDGE_WEB_SERVICES__USERNAME": f"u:{SECRET}"}, "BRIDGE_WEB_SERVICES__USERNAME: should be a user name"),
        ({"BRIDGE_WEB_SERVICES__USERNAME": "ü"}, "BRIDGE_WEB_SERVICES__USERNAME: can't also be the account's name"),
        (
            {"BRIDGE_KAFKA__BOOTSTRAP_SERVERS": f"u:{SECRET}@k:1"},
            "BRIDGE_KAFKA__BOOTSTRAP_SERVERS: should be host:port",
        ),
        ({"BRIDGE_KAFKA__FORMAT": "avro-registry"}, "BRIDGE_KAFKA__REGISTRY__URL: is required with avro-registry"),
        (
            {"BRIDGE_KAFKA__REGISTRY__URL": f"http://u:{SECRET}@h"},
            "BRIDGE_KAFKA__REGISTRY__URL: must not contain a user",
        ),
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
        ({"BRIDGE_LOG": f'{{"{SECRET}": 1}}'}, "BRIDGE_LOG: has an unknown key; known keys are format, level"),
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
            "BRIDGE_ACCOUNTS[1].name: is also the name of another account",
        ),
        (
            {"name": "b", "username": "a", "password": "p"},
            "BRIDGE_ACCOUNTS[1].username: is also the username of another",
        ),
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
        "BRIDGE_WEB_SERVICES__USERNAME: is set together with accounts; remove one of them",
        "BRIDGE_WEB_SERVICES__PASSWORD: is set together with accounts; remove one of them",
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
        (
            f"kafka = {SECRET}".encode(),
            "is not TOML (at line 1, column 9): a value is missing or wrong; a text needs quotes",
        ),
        (f"[log\n{SECRET} = 1".encode(), "is not TOML (at line 1, column 5): the `]` of a section is missing"),
        (
            f"{SECRET} = 1\n{SECRET} = 2".encode(),
            "is not TOML (at end of document): a key is set twice",
        ),
        (
            f"a = '{SECRET}\n'".encode(),
            "is not TOML (at line 1, column 21): a text has a line break; is its closing quote missing?",
        ),
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


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The fault shows the path where its directory exists, else the directories that do; a bare name is not shown."""
    for path, end in (
        (tmp_path / "none", f" ({tmp_path / 'none'})"),
        (tmp_path / SECRET / "none", f" (a path of which only {tmp_path} exists)"),
        (f"/{SECRET}/none", "No such file or directory"),
    ):
        [fault] = faults(WITHOUT_ACCOUNT | USER | {"BRIDGE_WEB_SERVICES__PASSWORD_FILE": str(path)})
        assert fault.endswith(end)
    [fault] = faults(WITHOUT_ACCOUNT | USER | {"BRIDGE_WEB_SERVICES__PASSWORD_FILE": SECRET})
    assert fault.endswith(f" (a path without a directory, looked for in {Path.cwd()})")
    [fault] = faults(ENVIRONMENT | {"BRIDGE_KAFKA__SSL_CAFILE": str(tmp_path / "none")})
    assert fault.endswith(f" ({tmp_path / 'none'})")


# Secrets.


def test_secrets_never_show() -> None:
    """Neither repr nor str nor the logged settings show a secret."""
    settings = load(
        environment=ENVIRONMENT
        | {"BRIDGE_KAFKA__SASL_PASSWORD": SECRET, "BRIDGE_KAFKA__SSL_PASSWORD": SECRET}
        | {
            "BRIDGE_PRIVACY__SECRET": SECRET * 2,
            "BRIDGE_KAFKA__REGISTRY__USERNAME": "u",
            "BRIDGE_KAFKA__REGISTRY__PASSWORD": SECRET,
        }
    )
    shown = changed(settings)
    assert shown["kafka.sasl_password"] == shown["web_services.password"] == "***"
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
