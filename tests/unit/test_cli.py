"""The `bridge` command: arguments, settings and exit codes."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge import __version__
from bridge.cli import app

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "health",
        "demo",
        "simulate",
        "check",
        "tail",
        "schemas",
        "dead-letters",
        "operations",
        "sessions",
        "topics",
        "init",
    ],
)
def test_commands_explain_themselves(command: str) -> None:
    """Every command of the contract is there and has a help text."""
    result = RUNNER.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_version() -> None:
    """The version alone is printed."""
    result = RUNNER.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"{__version__}\n")


def test_run_without_settings_says_what_is_missing() -> None:
    """With nothing set there is one line for each required variable, a way to see the bridge without, and code 2."""
    result = RUNNER.invoke(app, ["run"])
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    required = ("WEB_SERVICES__URL", "WEB_SERVICES__USERNAME", "WEB_SERVICES__PASSWORD", "KAFKA__BOOTSTRAP_SERVERS")
    for name in required:
        assert [line for line in lines if line.startswith(f"BRIDGE_{name}:")] == [f"BRIDGE_{name}: is required"]
    assert "make demo" in lines[-1]
    assert len(lines) == len(required) + 1


def test_run_with_a_wrong_setting_does_not_name_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint at the demo is for people without settings. With a wrong setting there is only the line about it."""
    monkeypatch.setenv("BRIDGE_WEB_SERVICES__URL", "http://localhost:8088")
    monkeypatch.setenv("BRIDGE_WEB_SERVICES__USERNAME", "agent")
    monkeypatch.setenv("BRIDGE_WEB_SERVICES__PASSWORD", "secret")
    monkeypatch.setenv("BRIDGE_KAFKA__BOOTSTRAP_SERVERS", "localhost:9092")
    monkeypatch.setenv("BRIDGE_KAFKA__PARTITION", "3")
    result = RUNNER.invoke(app, ["run"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "BRIDGE_KAFKA__PARTITION: unknown setting; did you mean BRIDGE_KAFKA__PARTITIONS?"
    ]


@pytest.mark.parametrize("command", [["check"], ["health"], ["tail"], ["dead-letters", "list"]])
def test_wrong_settings_end_with_2_and_show_no_secret(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting is named, and neither its value nor any secret beside it is shown."""
    section = "HTTP" if command in (["check"], ["health"]) else "KAFKA"
    monkeypatch.setenv("BRIDGE_WEB_SERVICES__PASSWORD", "pa55word")
    monkeypatch.setenv("BRIDGE_HTTP__PORT", "no-number")
    monkeypatch.setenv("BRIDGE_KAFKA__SLOTS", "no-number")
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 2
    assert {"HTTP": "BRIDGE_HTTP__PORT: ", "KAFKA": "BRIDGE_KAFKA__SLOTS: "}[section] in result.stderr
    assert "pa55word" not in result.output
    assert "no-number" not in result.output


@pytest.mark.parametrize("command", [["tail"], ["dead-letters", "list"]])
def test_readers_of_topics_need_only_kafka(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any setting only Kafka's address is missing, and wrong settings of other sections don't matter."""
    monkeypatch.setenv("BRIDGE_WEB_SERVICES__PASSWORD_FILE", "/does/not/exist")
    monkeypatch.setenv("BRIDGE_HTTP__PORT", "no-number")
    result = RUNNER.invoke(app, command)
    assert (result.exit_code, result.stderr) == (2, "BRIDGE_KAFKA__BOOTSTRAP_SERVERS: is required\n")


def test_the_plan_of_topics_needs_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bridge topics plan` asks only for Kafka's address, and wrong settings of Web Services don't matter."""
    monkeypatch.setenv("BRIDGE_WEB_SERVICES__PASSWORD_FILE", "/does/not/exist")
    result = RUNNER.invoke(app, ["topics", "plan"])
    assert (result.exit_code, result.stderr) == (2, "BRIDGE_KAFKA__BOOTSTRAP_SERVERS: is required\n")
    monkeypatch.setenv("BRIDGE_KAFKA__BOOTSTRAP_SERVERS", "kafka-1:9092")
    assert "kafka-topics --bootstrap-server kafka-1:9092" in RUNNER.invoke(app, ["topics", "plan"]).output


def test_health_needs_only_the_http_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bridge health` asks a bridge on the port of the settings, and says what to look at if there is none."""
    monkeypatch.setenv("BRIDGE_HTTP__PORT", "1")
    told = "no bridge answers on 127.0.0.1 port 1 (connection refused); does it run, and is BRIDGE_HTTP__{} right?\n"
    result = RUNNER.invoke(app, ["health"])
    assert (result.exit_code, result.stderr) == (1, told.format("PORT"))
    monkeypatch.setenv("BRIDGE_HTTP__PORT", "8080")
    monkeypatch.setenv("BRIDGE_HTTP__MANAGEMENT_PORT", "1")
    result = RUNNER.invoke(app, ["health"])
    assert (result.exit_code, result.stderr) == (1, told.format("MANAGEMENT_PORT"))


@pytest.mark.parametrize("since", ["tomorrow", "5x", "2999-01-01", "999999999999d"])
def test_a_wrong_since_is_an_argument(since: str) -> None:
    """A period or time that can't be read, or lies in the future, ends with code 2 and names the option."""
    result = RUNNER.invoke(app, ["tail", "--since", since])
    assert result.exit_code == 2
    assert "--since" in result.stderr


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("command", [["run"], ["dead-letters", "list"]])
def test_config_before_or_after_the_command(command: list[str], tmp_path: Path, *, after: bool) -> None:
    """`--config` is taken in both places, and faults name the file and its key."""
    file = tmp_path / "bridge.toml"
    file.write_text("[kafka]\nslots = 0\n")
    option = ["--config", str(file)]
    result = RUNNER.invoke(app, [*command, *option] if after else [*option, *command])
    assert result.exit_code == 2
    assert f"{file}: kafka.slots: " in result.stderr


def test_schemas_list_names_every_schema() -> None:
    """There is a line with name and id for the value of each topic, also of the one that the bridge reads."""
    result = RUNNER.invoke(app, ["schemas", "list"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines()]
    kinds = ("acknowledgement", "dead-letter", "operation", "request", "session", "unrecognized", "user-event")
    assert names == [f"{kind}/v1" for kind in kinds]


@pytest.mark.parametrize("name", ["user-event", "user-event/v1", "urn:cometd-kafka-bridge:schema:user-event:v1"])
def test_schemas_show(name: str) -> None:
    """A schema is printed by its short name, its name with the version, and its id."""
    result = RUNNER.invoke(app, ["schemas", "show", name])
    assert result.exit_code == 0
    assert json.loads(result.output)["$id"] == "urn:cometd-kafka-bridge:schema:user-event:v1"


def test_schemas_show_unknown() -> None:
    """An unknown name ends with code 1 and the names that there are."""
    result = RUNNER.invoke(app, ["schemas", "show", "nothing"])
    assert result.exit_code == 1
    assert "user-event/v1" in result.stderr


def test_simulate_refuses_an_unknown_fault() -> None:
    """A fault that does not exist is an argument's fault, code 2, and those that exist are named."""
    result = RUNNER.invoke(app, ["simulate", "--fault", "earthquake"])
    assert result.exit_code == 2
    assert "html-503" in result.output


def test_the_file_may_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BRIDGE_CONFIG names the TOML file of every command; --config wins over it."""
    for name in ("variable", "option"):
        (tmp_path / f"{name}.toml").write_text('[http]\nport = "x"\n')
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "variable.toml"))
    assert f"{tmp_path / 'variable.toml'}: http.port: " in RUNNER.invoke(app, ["check"]).stderr
    option = ["--config", str(tmp_path / "option.toml")]
    for arguments in ([*option, "check"], ["check", *option]):
        assert f"{tmp_path / 'option.toml'}: http.port: " in RUNNER.invoke(app, arguments).stderr


def test_help_is_short_and_flags_take_no_value() -> None:
    """`-h` is `--help` everywhere, and no help text shows a type for an option that takes no value."""
    for command in (["run"], ["check"], ["operations", "list"], ["schemas"], []):
        short, whole = (RUNNER.invoke(app, [*command, option]).output for option in ("-h", "--help"))
        assert short == whole
        assert "Usage" in short
        assert "<bool>" not in short


def test_the_shell_completes() -> None:
    """The shell gets the commands that begin with what was typed."""
    environment = {"_BRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "bridge op", "COMP_CWORD": "1"}
    assert RUNNER.invoke(app, [], env=environment, prog_name="bridge").output.split() == ["operations"]
