"""Files that somebody else writes: settings, accounts, secrets; and what a crash or a full disk left of our own."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import HttpSession
from bridge.errors import SettingsError
from bridge.relay import InFlight, Relay
from bridge.settings import load
from tests.fuzz import published
from tests.fuzz.budget import fuzzed
from tests.fuzz.strategies import ODD, Change, Verbatim, changed, changes, damages, encoded, places
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import ACCOUNT, OPTIONS, NoCredentials
from tests.unit.upstream_samples import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "correct-horse-battery"
TREE: dict[str, Any] = {
    "web_services": {"url": "http://gws.example", "request_timeout": 5, "channels": ["/v2/me/*"]},
    "kafka": {"bootstrap_servers": "127.0.0.1:9092", "format": "json", "partitions": 3, "registry": {}},
    "http": {"port": 8080, "authentication": {"method": "none"}},
    "operations": {"acknowledgement_timeout": 30, "enabled": ["DoNotCallRecord"]},
    "log": {"level": "info"},
    "accounts": [
        {"name": "sales", "username": "agent", "password": SECRET},
        {"name": "service", "username": "agent2", "password": SECRET},
    ],
}


def toml(tree: dict[str, Any], header: str = "") -> str:
    """Write a tree as TOML; of what TOML lacks the JSON stands there, which is no TOML."""
    lines: list[str] = [f"[{header}]"] if header else []
    tables: list[str] = []
    for name, value in tree.items():
        key = json.dumps(str(name))
        place = f"{header}.{key}" if header else key
        if isinstance(value, dict):
            tables.append(toml(value, place))
        elif name == "accounts" and isinstance(value, list) and all(isinstance(one, dict) for one in value):
            tables += [toml(one, place).replace(f"[{place}]", f"[[{place}]]", 1) for one in value]
        else:
            lines.append(f"{key} = {encoded(value).decode('latin-1')}")
    return "\n".join([*lines, *tables])


def loaded(path: Path, content: bytes, environment: dict[str, str] | None = None) -> None:
    """Read settings; they are right, or refused line by line without the secret in any of them."""
    path.write_bytes(content)
    try:
        load(path, environment or {})
    except SettingsError as error:
        assert error.faults  # noqa: PT017 -- whether it is refused is open here
        assert SECRET not in str(error)  # noqa: PT017


def test_no_single_odd_value_in_the_settings_is_more_than_a_fault(tmp_path: Path) -> None:
    """Each setting of a TOML file may hold each odd value: the start goes on, or stops with lines for people."""
    for place in range(places(TREE)):
        for value in (*(one for one in ODD if not isinstance(one, Verbatim)), Verbatim(b'"\\u0000"')):
            tree = Change(place, "replace", value)(TREE)
            loaded(tmp_path / "bridge.toml", toml(tree).encode("latin-1", errors="replace"))


@fuzzed(150)
@given(changes(), damages)
def test_no_settings_file_is_more_than_a_fault(tmp_path_factory: Any, applied: Any, damage: Any) -> None:
    """A changed or damaged TOML file is read, or refused with lines for people."""
    content = damage(toml(changed(TREE, applied)).encode("latin-1", errors="replace"))
    loaded(tmp_path_factory.getbasetemp() / "bridge.toml", content)


@fuzzed(100)
@given(changes(), damages)
def test_no_variable_is_more_than_a_fault(tmp_path_factory: Any, applied: Any, damage: Any) -> None:
    """Lists and sections in environment variables, as JSON, are read or refused with lines for people."""
    tree = changed(TREE, applied)
    tree = tree if isinstance(tree, dict) else {"accounts": tree}
    # An environment holds no null characters; Python shows bytes that are no UTF-8 as lone surrogates.
    variables = {
        f"BRIDGE_{str(name).upper()}": damage(encoded(value)).replace(b"\0", b"").decode(errors="surrogateescape")
        for name, value in tree.items()
    }
    loaded(tmp_path_factory.getbasetemp() / "empty.toml", b"", variables)


async def relayed(directory: Path) -> MemoryKafka:
    """Start a relay that finds that directory, as the process after a crash does; return what it published."""
    kafka = MemoryKafka()
    async with HttpSession("http://127.0.0.1:9", request_timeout=1) as http:
        publisher = MemoryPublisher(kafka, ACCOUNT)
        relay = Relay(OPTIONS, http, NoCredentials(), publisher, in_flight=InFlight(directory, ACCOUNT))
        await relay.begin()
    published.check(kafka.records)
    return kafka


@fuzzed(80)
@given(st.lists(damages, min_size=1, max_size=2))
def test_a_damaged_in_flight_file_never_stops_a_start(tmp_path_factory: Any, applied: list[Any]) -> None:
    """Whatever a crash made of the in-flight file, the next start goes on, and publishes valid records only."""
    directory: Path = tmp_path_factory.mktemp("state")

    async def main() -> None:
        events = [(one.channel, bytes(one.raw)) for one in SAMPLES]
        await InFlight(directory, ACCOUNT).write("client", 5, 1_767_268_800.0, events)
        for path in directory.iterdir():  # noqa: ASYNC240 -- nothing else runs
            content = path.read_bytes()
            for damage in applied:
                content = damage(content)
            path.write_bytes(content)
        await relayed(directory)

    asyncio.run(main())
