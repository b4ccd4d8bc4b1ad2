from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.settings import Delivery, Kafka, Settings, WebServices, changed, load
from tests.unit.settings_parts import ENVIRONMENT, SECRET, WITHOUT_ACCOUNT, faults

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
        ("BRIDGE_HTTP__CONSOLE", True, "false", False),
        ("BRIDGE_HTTP__CONSOLE_SECRET", None, "a secret of 20 chars", SecretStr("a secret of 20 chars")),
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


def test_paths_of_the_file_start_at_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path in the file starts there, for secrets of an account too; one in a variable does not."""
    here, there = tmp_path / "here", tmp_path / "there"
    for directory, secret in ((here, "of-the-variable"), (there, "of-the-file")):
        directory.mkdir()
        (directory / "password").write_text(secret)
    monkeypatch.chdir(here)
    config = there / "bridge.toml"
    config.write_text(
        'state_dir = "state"\n[web_services]\nca_file = "password"\n'
        '[[accounts]]\nname = "a"\nusername = "a"\npassword_file = "password"\n'
    )
    settings = load(Path("../there/bridge.toml"), WITHOUT_ACCOUNT)
    assert settings.accounts[0].password.get_secret_value() == "of-the-file"
    assert settings.state_dir == Path("../there/state")
    assert settings.web_services.ca_file == Path("../there/password")
    variables = {"BRIDGE_WEB_SERVICES__USERNAME": "a", "BRIDGE_WEB_SERVICES__PASSWORD_FILE": "password"}
    assert load(None, WITHOUT_ACCOUNT | variables).accounts[0].password.get_secret_value() == "of-the-variable"


def test_words_in_any_case() -> None:
    """A word that a setting may be is understood in capitals and in small letters."""
    given = {"BRIDGE_LOG__LEVEL": "INFO", "BRIDGE_KAFKA__DELIVERY": "At-Least-Once", "BRIDGE_KAFKA__FORMAT": "JSON"}
    sasl = {
        "BRIDGE_KAFKA__SECURITY_PROTOCOL": "sasl_plaintext",
        "BRIDGE_KAFKA__SASL_MECHANISM": "scram-sha-512",
        "BRIDGE_KAFKA__SASL_USERNAME": "Bridge",
        "BRIDGE_KAFKA__SASL_PASSWORD": SECRET,
    }
    settings = load(environment=ENVIRONMENT | given | sasl)
    assert settings.log.level == "info"
    assert settings.kafka.delivery is Delivery.AT_LEAST_ONCE
    assert (settings.kafka.security_protocol, settings.kafka.sasl_mechanism) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert settings.kafka.sasl_username == "Bridge"


def test_a_byte_order_mark_is_ignored(config: Path, tmp_path: Path) -> None:
    """The file and a secret's file may begin with the mark that Windows' editors write."""
    (tmp_path / "password").write_text(f"\ufeff{SECRET}\r\n")
    config.write_text('\ufeff[web_services]\nusername = "a"\npassword_file = "password"\n')
    assert load(config, WITHOUT_ACCOUNT).accounts[0].password.get_secret_value() == SECRET


def test_changed_settings() -> None:
    """What differs from the defaults is listed by its dotted name, and only what is secret is masked."""
    settings = load(
        environment=ENVIRONMENT | {"BRIDGE_PRIVACY__PHONE_NUMBERS": "omit", "BRIDGE_KAFKA__PARTITIONS": "6"}
    )
    assert changed(settings) == {
        "web_services.url": "http://gws.example:8080",
        "web_services.username": "bridge@example",
        "web_services.password": "***",
        "kafka.bootstrap_servers": "kafka-1:9092,kafka-2:9092",
        "privacy.phone_numbers": "omit",
    }
    several = '[{"name": "a", "username": "u", "password": "p"}, {"name": "b", "username": "v", "password": "q"}]'
    assert changed(load(environment=WITHOUT_ACCOUNT | {"BRIDGE_ACCOUNTS": several}))["accounts"] == ["a", "b"]
