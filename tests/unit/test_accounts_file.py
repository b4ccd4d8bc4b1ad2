"""The accounts file: its faults, what changes, and when a change counts."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.errors import SettingsError
from bridge.settings import Account, AccountsFile, account_changes, load
from bridge.settings.accounts_file import read_accounts
from tests.unit.settings_parts import ENVIRONMENT, SECRET, WITHOUT_ACCOUNT, faults
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

AGENT = f"[[accounts]]\nname = 'agent'\nusername = 'agent@example'\npassword = '{SECRET}'\n"
OTHER = f"[[accounts]]\nname = 'other'\nusername = 'other@example'\npassword = '{SECRET}'\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(AGENT + OTHER)
    return path


def account(name: str, username: str = "u", password: str = "p") -> Account:
    return Account(name=name, username=username, password=SecretStr(password))


def write(path: Path, content: str) -> None:
    path.write_text(content)


def remove(path: Path) -> None:
    path.unlink()


def reloads(result: str) -> float:
    return REGISTRY.get_sample_value("bridge_accounts_reloads_total", {"result": result}) or 0.0


def test_the_accounts_come_from_the_file(path: Path) -> None:
    """With `accounts_file` the settings have the accounts of the file, in its order."""
    settings = load(environment=WITHOUT_ACCOUNT | {"BRIDGE_ACCOUNTS_FILE": str(path)})
    assert [one.name for one in settings.accounts] == ["agent", "other"]
    assert settings.accounts[0].password.get_secret_value() == SECRET


def test_a_password_may_be_in_another_file(path: Path, tmp_path: Path) -> None:
    """An account of the file may name the file of its password, as everywhere in the settings."""
    (tmp_path / "word").write_text(f"{SECRET}\n")
    path.write_text(f"[[accounts]]\nname='a'\nusername='a'\npassword_file='{tmp_path / 'word'}'\n")
    [found] = read_accounts(path, "setting")
    assert found.password.get_secret_value() == SECRET


def test_a_relative_path_starts_at_the_accounts_file(path: Path) -> None:
    """A relative `password_file` is beside the accounts file, wherever the bridge was started."""
    path.with_name("word").write_text(f"{SECRET}\n")
    path.write_text("[[accounts]]\nname='a'\nusername='a'\npassword_file='word'\n")
    [found] = read_accounts(path, "setting")
    assert found.password.get_secret_value() == SECRET


def test_a_byte_order_mark_is_ignored(path: Path) -> None:
    """An editor of Windows may have written the accounts file, as it may have written the other files."""
    path.write_text(f"\ufeff{AGENT}")
    assert [one.name for one in read_accounts(path, "setting")] == ["agent"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ["accounts: is required"]),
        ("accounts = []", ["accounts: is empty"]),
        ("accounts = 1", ["accounts: should be a valid tuple"]),
        (AGENT + AGENT, ["accounts[1].name: is also the name", "accounts[1].username: is also the username"]),
        (AGENT.replace(SECRET, "") + "unknown = 1", ["accounts[0]: has an unknown key", "accounts[0].password: is"]),
        (f"[[account]]\nname = '{SECRET}'", ["account: unknown setting; did you mean accounts?", "accounts: is requ"]),
        (f"[[accounts]]\nname = '{SECRET}", ["is not TOML (at end of document"]),
    ],
)
def test_each_fault_is_told_in_a_line(path: Path, content: str, expected: list[str]) -> None:
    """A fault stops the start, in a line that names the file and the key; no line shows a value."""
    path.write_text(content)
    found = faults(WITHOUT_ACCOUNT | {"BRIDGE_ACCOUNTS_FILE": str(path)})
    assert len(found) == len(expected), found
    for line in expected:
        assert any(one.startswith(f"{path}: {line}") for one in found), found
    assert SECRET not in "".join(found)


def test_a_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    """The line names the setting and the reason, and other faults are told beside it."""
    missing = tmp_path / "none.toml"
    found = faults(WITHOUT_ACCOUNT | {"BRIDGE_ACCOUNTS_FILE": str(missing), "BRIDGE_HTTP__PORT": "x"})
    assert found == ["BRIDGE_HTTP__PORT: should be a valid integer, unable to parse string as an integer", found[1]]
    assert found[1] == f"BRIDGE_ACCOUNTS_FILE: can't be read: No such file or directory ({missing})"


def test_a_path_in_the_settings_file_is_named_there(tmp_path: Path) -> None:
    """If the path comes from the TOML file of settings, the line names that file and the key."""
    config = tmp_path / "bridge.toml"
    config.write_text("accounts_file = '/none'\n")
    assert faults(WITHOUT_ACCOUNT, config) == [f"{config}: accounts_file: can't be read: No such file or directory"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            ENVIRONMENT,
            [
                "BRIDGE_WEB_SERVICES__USERNAME: is set together with accounts_file; remove one of them",
                "BRIDGE_WEB_SERVICES__PASSWORD: is set together with accounts_file; remove one of them",
            ],
        ),
        (
            WITHOUT_ACCOUNT | {"BRIDGE_ACCOUNTS": '[{"name": "a", "username": "a", "password": "p"}]'},
            ["BRIDGE_ACCOUNTS: is set together with accounts_file; remove one of them"],
        ),
    ],
)
def test_no_other_accounts_beside_the_file(environment: dict[str, str], expected: list[str], path: Path) -> None:
    """Accounts in two places are a fault, in a line for each setting that is too much."""
    assert faults(environment | {"BRIDGE_ACCOUNTS_FILE": str(path)}) == expected


NAMES = st.sampled_from("abcd")
ACCOUNTS = st.lists(st.builds(account, NAMES, st.sampled_from("uv"), st.sampled_from("pq")), unique_by=lambda a: a.name)


@given(ACCOUNTS, ACCOUNTS)
def test_changes_lead_from_the_old_list_to_the_new_one(before: list[Account], after: list[Account]) -> None:
    """What left, came and changed turns the old accounts into the new ones, and names no account without need."""
    changes = account_changes(before, after)
    old = {one.name: one for one in before}
    result = {name: one for name, one in old.items() if name not in changes.left}
    result |= {one.name: one for one in (*changes.came, *changes.changed)}
    assert result == {one.name: one for one in after}
    assert all(one.name in old and one.username == old[one.name].username for one in changes.changed)
    assert not any(one == old.get(one.name) for one in (*changes.came, *changes.changed))


def test_another_user_is_another_session() -> None:
    """An account with another user name leaves and comes; one with another password stays."""
    changes = account_changes([account("a"), account("b")], [account("b", password="q"), account("a", username="v")])
    assert (changes.left, [one.name for one in changes.came], [one.name for one in changes.changed]) == (
        ["a"],
        ["a"],
        ["b"],
    )


class Applied:
    """Collects the lists of accounts that the watcher applies."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self.accounts: Sequence[Account] = ()

    async def __call__(self, accounts: Sequence[Account]) -> None:
        self.accounts = accounts
        self.names.append([one.name for one in accounts])


@asynccontextmanager
async def watched(path: Path) -> AsyncIterator[tuple[AccountsFile, Applied]]:
    applied = Applied()
    file = AccountsFile(path, applied, interval=0.01)
    running = asyncio.create_task(file.run())
    try:
        await eventually(lambda: applied.names)
        yield file, applied
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_change_is_applied(path: Path) -> None:
    """The accounts of a changed file are applied once."""
    before = reloads("applied")
    async with watched(path) as (_, applied):
        write(path, AGENT)
        await eventually(lambda: applied.names == [["agent", "other"], ["agent"]])
    assert reloads("applied") == before + 1


def file_with_the_size_and_time_of(path: Path) -> Path:
    """A file that differs from `path` only in its content."""
    target = path.with_name("next.toml")
    target.write_text(path.read_text().replace("other", "third"))
    times = path.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return target


def point(link: Path, target: Path) -> None:
    """Make a symbolic link to the target, in one step."""
    link.with_name("swapped").symlink_to(target)
    link.with_name("swapped").replace(link)


async def test_a_change_that_keeps_size_and_time_is_noticed(path: Path) -> None:
    """Kubernetes swaps a symbolic link, and the new file may have the size and the time of the old one."""
    target, link = file_with_the_size_and_time_of(path), path.with_name("link.toml")
    point(link, path)
    async with watched(link) as (_, applied):
        point(link, target)
        await eventually(lambda: applied.names[-1] == ["agent", "third"])


async def test_a_changed_password_file_is_noticed(path: Path, tmp_path: Path) -> None:
    """The files that `password_file` names, also by a relative path, belong to the content."""
    word = tmp_path / "word"
    write(word, "before")
    write(path, "[[accounts]]\nname='a'\nusername='a'\npassword_file='word'\n")
    async with watched(path) as (_, applied):
        write(word, "after")
        await eventually(lambda: applied.accounts[0].password.get_secret_value() == "after")


async def test_a_file_that_is_being_written_does_not_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written file may be valid and lack accounts, so a content counts once two looks have found it."""
    looks = [AGENT + OTHER, AGENT, AGENT + "[[accounts]]", AGENT + OTHER.replace("other", "third")]
    monkeypatch.setattr(type(path), "read_bytes", lambda _: (looks.pop(0) if len(looks) > 1 else looks[0]).encode())
    async with watched(path) as (_, applied):
        await eventually(lambda: applied.names[-1] == ["agent", "third"])
    assert applied.names == [["agent", "other"], ["agent", "third"]]


@pytest.mark.parametrize("content", ["[[accounts]]\nname = 'x'", "no TOML", "", None])
async def test_an_invalid_file_keeps_the_accounts(path: Path, content: str | None) -> None:
    """An invalid, empty or missing file changes nothing, and the log, the metrics and the notes tell it once."""
    before = reloads("invalid")
    with capture_logs() as logs:
        async with watched(path) as (file, applied):
            write(path, content) if content is not None else remove(path)
            await eventually(lambda: file.faults)
            assert REGISTRY.get_sample_value("bridge_accounts_file_invalid") == 1
            assert applied.names == [["agent", "other"]]
            write(path, AGENT + OTHER)
            await eventually(lambda: not file.faults)
            await eventually(lambda: len(applied.names) == 2)
    assert REGISTRY.get_sample_value("bridge_accounts_file_invalid") == 0
    assert reloads("invalid") == before + 1
    told = [one for one in logs if one["event"].startswith("accounts-file")]
    assert [one["event"] for one in told] == ["accounts-file-invalid", "accounts-file-valid"]
    assert all(str(path) in fault for fault in told[0]["faults"])


async def test_the_first_look_counts(path: Path) -> None:
    """The file may change between the reading of the settings and the first look, so the first look is applied too."""
    before = reloads("applied")
    async with watched(path) as (_, applied):
        assert applied.names[0] == ["agent", "other"]
    assert reloads("applied") == before


def test_read_accounts_raises_settings_errors(tmp_path: Path) -> None:
    """A file that can't be read is a SettingsError, like every wrong setting."""
    with pytest.raises(SettingsError, match="can't be read: Is a directory"):
        read_accounts(tmp_path, "setting")
