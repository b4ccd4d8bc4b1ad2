"""`bridge check` finds what would stop the start of `bridge run`."""

import socket
import sys
from pathlib import Path

import pytest

from bridge.commands.checks.finding import Finding, Outcome
from bridge.commands.checks.start import ADDRESS, START, check_start
from bridge.settings import load

SETTINGS = {
    "BRIDGE_WEB_SERVICES__URL": "http://127.0.0.1:9",
    "BRIDGE_WEB_SERVICES__USERNAME": "agent",
    "BRIDGE_WEB_SERVICES__PASSWORD": "secret",
    "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "BRIDGE_HTTP__PORT": "0",
}


async def findings(**changed: str) -> list[Finding]:
    environment = SETTINGS | {f"BRIDGE_{name}": value for name, value in changed.items()}
    return [one async for one in check_start(load(environment=environment))]


def of(subject: str, found: list[Finding]) -> list[Finding]:
    return [one for one in found if one.subject == subject]


async def test_settings_that_work() -> None:
    """Settings with which the bridge starts are ok, and so is an address that is free."""
    assert [one.outcome for one in await findings()] == [Outcome.OK, Outcome.OK]


async def test_a_misspelt_operation() -> None:
    """An enabled operation that does not exist fails, with the variable and the operations that exist."""
    [finding] = of(START, await findings(OPERATIONS__ENABLED='["DoNotCallRecrod"]'))
    assert finding.outcome is Outcome.FAILED
    assert finding.text.startswith("BRIDGE_OPERATIONS__ENABLED: ")
    assert "DoNotCallRecord" in finding.text


async def test_a_bad_scope_in_the_tokens_file(tmp_path: Path) -> None:
    """A file of tokens that `bridge run` refuses fails, with the number of the line."""
    file = tmp_path / "tokens"
    file.write_text(f"crm:{'0' * 64}:operations:wirte\n")
    found = await findings(HTTP__AUTHENTICATION__METHOD="tokens", HTTP__AUTHENTICATION__TOKENS_FILE=str(file))
    [finding] = of(START, found)
    assert finding.outcome is Outcome.FAILED
    assert finding.text.startswith("BRIDGE_HTTP__AUTHENTICATION__TOKENS_FILE: ")
    assert "line 1" in finding.text


async def test_tracing_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing that is not installed fails, and does not hide another fault of the settings."""
    monkeypatch.setitem(sys.modules, "bridge.observability.span_export", None)
    monkeypatch.delattr("bridge.observability.span_export", raising=False)
    found = of(START, await findings(TRACING__ENABLED="true", OPERATIONS__ENABLED='["Nothing"]'))
    assert [one.text.partition(":")[0] for one in found] == ["BRIDGE_TRACING__ENABLED", "BRIDGE_OPERATIONS__ENABLED"]


async def test_an_address_in_use() -> None:
    """A port in use is a warning, because the bridge itself may be running; an address of another machine fails."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        [finding] = of(ADDRESS, await findings(HTTP__PORT=str(taken.getsockname()[1])))
        assert finding.outcome is Outcome.WARNING
        assert "BRIDGE_HTTP__PORT" in finding.text
        [finding] = of(ADDRESS, await findings(HTTP__MANAGEMENT_PORT=str(taken.getsockname()[1])))
        assert "BRIDGE_HTTP__MANAGEMENT_PORT" in finding.text
    [finding] = of(ADDRESS, await findings(HTTP__HOST="192.0.2.1", HTTP__ALLOW_UNAUTHENTICATED="true"))
    assert finding.outcome is Outcome.FAILED
    assert "BRIDGE_HTTP__HOST" in finding.text
