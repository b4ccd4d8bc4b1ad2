"""The accounts file: a TOML file with `[[accounts]]`, which the bridge reads again when its content changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from pydantic import ValidationError

from bridge.errors import SettingsError
from bridge.observability import metrics
from bridge.settings import files, sources
from bridge.settings.models import AccountList

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bridge.settings.models import Account

log = structlog.get_logger(__name__)

INTERVAL: Final = 2.0
"""Seconds between two checks of the file. A change takes effect when two successive checks have found the same
content."""


def read_accounts(path: Path, setting: str) -> tuple[Account, ...]:
    """Read the accounts file. `setting` is the name of the setting that contains the path.

    Raises:
        SettingsError: the file is wrong or can't be read. For a wrong file, each line names the file and the key. For
        an unreadable file, the line names the setting and only the part of the path that exists, because the path may
        be a secret that somebody has set by mistake.
    """
    content = _content(path)
    if isinstance(content.file, str):
        raise SettingsError([f"{setting}: can't be read: {content.file}{files.where(path)}"])
    return _accounts_in(content, path)


class AccountChanges(NamedTuple):
    """The difference between two lists of accounts."""

    left: list[str]
    """Names of the accounts that are only in the old list. An account with a new user name is in `left` and in
    `came`."""
    came: list[Account]
    """Accounts that are only in the new list."""
    changed: list[Account]
    """Accounts with another password."""


def account_changes(before: Sequence[Account], after: Sequence[Account]) -> AccountChanges:
    """Compare two lists of accounts. The order of the accounts does not count.

    An account with another user name is another user of Web Services, so it can't continue the CometD session.
    """
    old = {account.name: account for account in before}
    new = {account.name: account for account in after}
    same = {name for name, account in new.items() if name in old and old[name].username == account.username}
    return AccountChanges(
        left=[name for name in old if name not in same],
        came=[account for name, account in new.items() if name not in same],
        changed=[new[name] for name in new if name in same and new[name] != old[name]],
    )


class AccountsFile:
    """Watches the accounts file, and calls `apply` with the accounts after each valid change.

    The class compares the content and not the time of the last change, because Kubernetes replaces a mounted secret by
    a symbolic link and may keep the time. The files that the accounts name in `password_file` count as part of the
    content.
    """

    def __init__(
        self, path: Path, apply: Callable[[tuple[Account, ...]], Awaitable[None]], *, interval: float = INTERVAL
    ) -> None:
        self._path = path
        self._apply = apply
        self._interval = interval
        self.faults: Sequence[str] = ()
        """The faults of the present content. While there are any, the bridge keeps its accounts."""

    async def run(self) -> None:
        """Watch the file until cancelled."""
        known = await asyncio.to_thread(_content, self._path)
        # The file may have changed since the settings were read. If not, `apply` has nothing to do.
        await self._take(known, at_start=True)
        before = known
        while True:
            await asyncio.sleep(self._interval)
            content = await asyncio.to_thread(_content, self._path, before)
            if content != known and content == before:  # otherwise somebody may still be writing the file
                known = content
                await self._take(content)
            before = content

    async def _take(self, content: _Content, *, at_start: bool = False) -> None:
        try:
            accounts = await asyncio.to_thread(_accounts_in, content, self._path)
        except SettingsError as error:
            self.faults = error.faults
            metrics.accounts_reloads.labels("invalid").inc()
            log.warning(
                "accounts-file-invalid", faults=list(self.faults), effect="the bridge keeps the accounts that it has"
            )
        else:
            if self.faults:
                log.info("accounts-file-valid")
            self.faults = ()
            if not at_start:
                metrics.accounts_reloads.labels("applied").inc()
        metrics.accounts_file_invalid.set(bool(self.faults))
        if not self.faults:
            await self._apply(accounts)


class _Content(NamedTuple):
    """The bytes of the accounts file and of the password files. For an unreadable file: a text with the reason."""

    file: bytes | str
    password_files: tuple[Path, ...]
    passwords: tuple[bytes | str, ...]


def _content(path: Path, before: _Content | None = None) -> _Content:
    """Read the files. A file with the same bytes as in `before` is not parsed again."""
    file = _read(path)
    is_same = before is not None and before.file == file
    password_files = before.password_files if is_same and before is not None else _password_files(file, path.parent)
    return _Content(file, password_files, tuple(_read(one) for one in password_files))


def _parsed(content: bytes, directory: Path) -> dict[str, Any]:
    """Parse the accounts file. A relative path in the file starts at the file's directory."""
    return sources.beside(AccountList, files.parse_toml(content), directory)


def _password_files(file: bytes | str, directory: Path) -> tuple[Path, ...]:
    try:
        accounts = _parsed(file, directory).get("accounts") if isinstance(file, bytes) else None
    except ValueError:
        return ()
    entries = [entry for entry in accounts if isinstance(entry, dict)] if isinstance(accounts, list) else []
    names = [entry.get(f"password{sources.FILE_SUFFIX}") for entry in entries]
    return tuple(Path(name) for name in names if isinstance(name, str))


def _accounts_in(content: _Content, path: Path) -> tuple[Account, ...]:
    """Return the accounts in this content. The password files are read again.

    Raises:
        SettingsError: see `read_accounts`.
    """
    if isinstance(content.file, str):
        raise SettingsError([f"{path}: can't be read: {content.file}"])
    try:
        return AccountList.model_validate(_parsed(content.file, path.parent)).accounts
    except ValidationError as error:
        lines = error.errors(include_input=False)
        raise SettingsError([_fault(path, line["loc"], line["msg"]) for line in lines]) from None
    except ValueError as error:
        raise SettingsError([f"{path}: {error}"]) from None


def _fault(path: Path, location: sources.Location, text: str) -> str:
    return f"{path}: {sources.dotted(location)}: {text}" if location else f"{path}: {text}"


def _read(path: Path) -> bytes | str:
    try:
        return path.read_bytes()
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError:  # the path contains a null character
        return "is not a path"
