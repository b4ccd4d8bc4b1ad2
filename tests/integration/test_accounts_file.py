"""`bridge run` with an accounts file, while accounts come and go, on the simulator and the embedded broker."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from bridge.delivery import read
from bridge.settings import Kafka
from bridge.simulator import Simulator
from bridge.simulator.broker import EmbeddedBroker
from tests.page import REQUEST
from tests.unit.cli_process import Command
from tests.waiting import eventually

WORDS = {"anna": "word-of-anna", "bert": "word-of-bert", "cleo": "word-of-cleo"}


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Simulator]:
    async with Simulator(users=WORDS, max_interval=60) as simulator:
        yield simulator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.toml"


@pytest.fixture
def kafka(broker: EmbeddedBroker) -> Kafka:
    return Kafka(bootstrap_servers=broker.bootstrap, check_crcs=False, request_timeout=5)


@pytest.fixture
def environment(kafka: Kafka, upstream: Simulator, path: Path) -> dict[str, str]:
    write(path, "anna", "bert")
    return {
        "BRIDGE_WEB_SERVICES__URL": upstream.url,
        "BRIDGE_ACCOUNTS_FILE": str(path),
        "BRIDGE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BRIDGE_KAFKA__CHECK_CRCS": "false",
        "BRIDGE_KAFKA__REQUEST_TIMEOUT": "5",
        "BRIDGE_HTTP__PORT": "0",
    }


def entry(name: str, *, user: str | None = None, word: str | None = None) -> str:
    """An account as the file has it."""
    user = user or name
    return f"[[accounts]]\nname = '{name}'\nusername = '{user}'\npassword = '{word or WORDS[user]}'\n"


def replace(path: Path, content: str) -> None:
    """Replace the file in one step."""
    path.with_suffix(".next").write_text(content)
    path.with_suffix(".next").replace(path)


def write(path: Path, *names: str, **words: str) -> None:
    """Replace the accounts file by one with these accounts."""
    replace(path, "".join(entry(name, word=words.get(name)) for name in names))


def sessions(upstream: Simulator) -> dict[str, str]:
    """The clientId of each user that has a connected session with both subscriptions."""
    found = [one for one in upstream.sessions if one.connected and len(one.subscriptions) == 2]
    return {one.user: one.client_id for one in found}


async def get(url: str, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(url + path) as reply:
        return reply.status, await reply.text()


async def post(url: str, account: str) -> tuple[int, Mapping[str, Any]]:
    async with (
        aiohttp.ClientSession() as client,
        client.post(
            f"{url}/api/v2/me/outbound-records/13",
            json={name: value for name, value in REQUEST.items() if name != "referenceId"},
            headers={"X-Account": account},
        ) as reply,
    ):
        return reply.status, await reply.json(content_type=None)


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 30) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {within:g} s")


async def changes(kafka: Kafka, account: str) -> list[tuple[str, str]]:
    """The change and the reason of each session event of the account, in order."""
    records = read(kafka, [f"{kafka.topic_prefix}.sessions.v1"], from_beginning=True, until_end=True)
    async with aclosing(records) as all_of_them:
        events = [msgspec.json.decode(one.value or b"", type=dict[str, Any]) async for one in all_of_them]
    return [(one["change"], one["reason"]) for one in events if one["account"] == account]


async def test_accounts_come_and_go(environment: dict[str, str], upstream: Simulator, kafka: Kafka, path: Path) -> None:
    """One account leaves politely and one comes, takes calls at once, and the third keeps its session."""
    async with Command("run", environment=environment) as command:
        url = await command.url()
        await eventually(lambda: set(sessions(upstream)) == {"anna", "bert"}, within=60)
        kept = sessions(upstream)["anna"]
        assert (await post(url, "cleo"))[1]["code"] == "unknown-account"
        write(path, "anna", "cleo")
        await eventually(lambda: set(sessions(upstream)) == {"anna", "cleo"}, within=60)
        await eventually(lambda: {one.user for one in upstream.sessions} == {"anna", "cleo"}, within=60)
        assert sessions(upstream)["anna"] == kept
        assert (await post(url, "cleo"))[0] == 200
        await eventually(lambda: "accounts-changed" in command.errors)
        assert (await post(url, "bert"))[1]["code"] == "unknown-account"

        async def has_no_series() -> bool:
            return 'account="bert"' not in (await get(url, "/metrics"))[1]

        await until(has_no_series)
        page = (await get(url, "/metrics"))[1]
        assert 'bridge_cometd_connected{account="cleo"} 1.0' in page
        assert "bridge_accounts 2.0" in page
        assert 'bridge_accounts_reloads_total{result="applied"} 1.0' in page
        assert [one["account"] for one in msgspec.json.decode((await get(url, "/sessions"))[1])] == ["anna", "cleo"]
        write(path, "anna", "bert", "cleo")
        await eventually(lambda: set(sessions(upstream)) == set(WORDS), within=60)
        command.send(signal.SIGTERM)
        assert (await command.ended(within=15)).status == 0
        assert not any(word in command.errors for word in WORDS.values())
    assert await changes(kafka, "bert") == [("opened", "start"), ("closed", "account-removed"), ("opened", "start")]
    assert await changes(kafka, "anna") == [("opened", "start")]


async def test_a_changed_password(environment: dict[str, str], upstream: Simulator, kafka: Kafka, path: Path) -> None:
    """The account logs in anew and keeps its session; a restart that knows only the new password resumes it."""
    async with Command("run", environment=environment) as command:
        url = await command.url()
        await eventually(lambda: set(sessions(upstream)) == {"anna", "bert"}, within=60)
        before = sessions(upstream)
        upstream.change_password("anna", "another")
        upstream.drop_logins()
        write(path, "anna", "bert", anna="another")
        await eventually(lambda: "password-changed" in command.errors, within=60)
        assert (await post(url, "anna"))[0] == 200
        assert sessions(upstream) == before
        command.send(signal.SIGTERM)
        assert (await command.ended(within=15)).status == 0
    async with Command("run", environment=environment) as command:
        await command.url()
        await eventually(lambda: command.errors.count("cometd-connected") == 2, within=60)
        assert sessions(upstream) == before
        command.send(signal.SIGTERM)
        await command.ended(within=15)
    assert [change for change, _ in await changes(kafka, "anna")] == ["opened", "resumed"]


async def test_another_user_is_a_new_session(
    environment: dict[str, str], upstream: Simulator, kafka: Kafka, path: Path
) -> None:
    """An account that keeps its name but gets another user ends the old session and opens one of the new user."""
    async with Command("run", environment=environment) as command:
        await command.url()
        await eventually(lambda: set(sessions(upstream)) == {"anna", "bert"}, within=60)
        replace(path, entry("anna") + entry("bert", user="cleo"))
        await eventually(lambda: {one.user for one in upstream.sessions} == {"anna", "cleo"}, within=60)
        await eventually(lambda: set(sessions(upstream)) == {"anna", "cleo"}, within=60)
        command.send(signal.SIGTERM)
        await command.ended(within=15)
    assert [change for change, _ in await changes(kafka, "bert")] == ["opened", "closed", "opened"]


async def test_an_invalid_file_keeps_the_bridge_ready(
    environment: dict[str, str], upstream: Simulator, path: Path
) -> None:
    """The accounts are relayed on, and readiness stays 200 and tells what is wrong with the file, until it is right."""
    async with Command("run", environment=environment) as command:
        url = await command.url()
        await eventually(lambda: set(sessions(upstream)) == {"anna", "bert"}, within=60)

        async def is_ready() -> bool:
            return await get(url, "/health/ready") == (200, '{"status":"ready"}')

        await until(is_ready)
        before = sessions(upstream)
        replace(path, "[[accounts]]\nname = 'anna'\nusername = 'anna'\n")
        await eventually(lambda: "accounts-file-invalid" in command.errors, within=60)
        status, body = await get(url, "/health/ready")
        reason = f"{path}: accounts[0].password: is required"
        assert (status, msgspec.json.decode(body)) == (
            200,
            {"status": "ready", "notes": [{"name": "accounts-file", "reason": reason}]},
        )
        assert "bridge_accounts_file_invalid 1.0" in (await get(url, "/metrics"))[1]
        assert sessions(upstream) == before
        write(path, "anna", "bert")
        await eventually(lambda: "accounts-file-valid" in command.errors, within=60)
        assert await get(url, "/health/ready") == (200, '{"status":"ready"}')
        assert sessions(upstream) == before
        command.send(signal.SIGTERM)
        await command.ended(within=15)
