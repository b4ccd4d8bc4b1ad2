"""The accounts of the process: builds the parts of each account, and changes them while the bridge runs."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final, Self

import structlog

from bridge.account import AccountBridge
from bridge.delivery import AccountKeys, KafkaProbe, Slots, UnsignedEvents, topic_names
from bridge.observability import metrics
from bridge.pacing import Gate
from bridge.settings import account_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from bridge.cometd import HttpSession
    from bridge.events import Encoding
    from bridge.operations import OperationsService
    from bridge.privacy import Concealment
    from bridge.settings import Account, Settings

HANDSHAKES: Final = 32
"""Maximum number of simultaneous logins with their CometD handshakes. If 1,000 accounts did this at once, many requests
would wait in Web Services until their deadline has passed."""
LONG: Final = 1.0
"""Seconds after which a handshake no longer counts towards the limit, because accounts with a slow server must not hold
the others up."""
log = structlog.get_logger(__name__)


class BridgeAccounts:
    """The parts of all accounts. As an asynchronous context manager it opens and closes their HTTP sessions.

    Other parts of the bridge keep references to `bridges`, `keys` and `unsigned`, and so see each change.
    """

    def __init__(self, settings: Settings, encoding: Encoding, privacy: Concealment | None) -> None:
        self._settings = settings
        self._encoding = encoding
        self._privacy = privacy
        self._present = settings.accounts
        self.bridges: dict[str, AccountBridge] = {}
        """The parts of each account, by the account's name."""
        self.keys: dict[str, AccountKeys] = {}
        self.unsigned: dict[str, UnsignedEvents] = {}
        self.kafka = KafkaProbe(settings.kafka, self.bridges)
        self.slots = Slots(settings.kafka, encoding)
        """The publishers of all accounts, if this process is no replica of a fleet."""
        self._handshakes = Gate(HANDSHAKES, LONG)
        self._opened: set[HttpSession] = set()
        self._operations: OperationsService | None = None
        self._on_change: Callable[[], None] = lambda: None
        for account in self._present:
            self._build(account)
        self._measure()

    def serve(self, operations: OperationsService, on_change: Callable[[], None]) -> None:
        """Let the relays of the accounts find the operations in `operations`, which already has these accounts.

        `on_change` is called after accounts were added, so that their relays start.
        """
        self._operations, self._on_change = operations, on_change
        for name, bridge in self.bridges.items():
            bridge.correlate(operations.correlator(name))

    @property
    def in_order(self) -> list[AccountBridge]:
        """The accounts in the order of the settings, without those that are being added or removed."""
        return [self.bridges[account.name] for account in self._present if account.name in self.bridges]

    async def __aenter__(self) -> Self:
        for bridge in self.bridges.values():
            await self._open(bridge.http)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for http in self._opened:
            await http.__aexit__(kind, error, traceback)

    async def _open(self, http: HttpSession) -> None:
        await http.__aenter__()
        self._opened.add(http)

    def accepted(self, name: str) -> None:
        """Tell the account's watchdog that Web Services has accepted an operation."""
        if name in self.bridges:
            self.bridges[name].watchdog.accepted()

    async def apply(self, accounts: Sequence[Account]) -> None:
        """Change to these accounts. Return when those that left have ended their sessions and operations.

        The other accounts are not touched. An account that comes is relayed like an account at the start.
        """
        changes = account_changes(self._present, accounts)
        self._present = tuple(accounts)
        self._measure()
        assert self._operations is not None
        if changes.left or changes.came or changes.changed:
            log.info(
                "accounts-changed",
                came=[account.name for account in changes.came],
                left=changes.left,
                password_changed=[account.name for account in changes.changed],
            )
        replaced = {account.name: account for account in changes.came if account.name in self.bridges}
        for account in changes.came:
            if account.name not in replaced:
                await self._come(account)
        self._operations.default_account = accounts[0].name
        async with asyncio.TaskGroup() as group:
            for account in changes.changed:
                group.create_task(self.bridges[account.name].change_password(account))
            for name in changes.left:
                group.create_task(self._replace(name, replaced.get(name)))

    def _build(self, account: Account, keys: AccountKeys | None = None, *, came_later: bool = False) -> AccountBridge:
        name, settings = account.name, self._settings
        keys = self.keys[name] = keys or AccountKeys(name, account.password, settings.kafka.topic_prefix)
        unsigned = self.unsigned[name] = UnsignedEvents(settings.operations.view_age)
        metrics.start_account(name, topic_names(settings.kafka))
        bridge = self.bridges[name] = AccountBridge(
            settings,
            account,
            self.kafka,
            self._encoding,
            self._privacy,
            publisher=self.slots.publisher(keys, unsigned),
            keys=keys,
            unsigned=unsigned,
            handshakes=self._handshakes,
            came_later=came_later,
        )
        return bridge

    async def _come(self, account: Account, keys: AccountKeys | None = None) -> None:
        assert self._operations is not None
        bridge = self._build(account, keys, came_later=True)
        await self._open(bridge.http)
        self._operations.add(account.name, bridge.client)
        bridge.correlate(self._operations.correlator(account.name))
        self._on_change()

    async def _replace(self, name: str, successor: Account | None) -> None:
        """Remove an account, and then add the new account with the same name, if there is one."""
        assert self._operations is not None
        bridge = self.bridges.pop(name)  # from now on nobody starts its relay again
        await asyncio.gather(bridge.leave(), self._operations.remove(name))
        self._opened.remove(bridge.http)
        await bridge.http.__aexit__(None, None, None)
        del self.unsigned[name]
        keys = self.keys.pop(name)
        metrics.remove_account(name)
        if successor is not None:
            await keys.change(successor.password)  # the last position has the signature of the former password
            await self._come(successor, keys)

    def _measure(self) -> None:
        names = sorted(account.name for account in self._present)
        metrics.accounts.set(len(names))
        metrics.accounts_digest.set(digest_of(names))


def digest_of(names: Sequence[str]) -> int:
    """Return a hash of the sorted names: a number of 48 bits, which a metric's value (a float) holds exactly."""
    return int.from_bytes(hashlib.sha256("\n".join(names).encode()).digest()[:6], "big")
