"""What GET /fleet and GET /sessions?scope=fleet show."""

from datetime import UTC, datetime

from pydantic import SecretStr

from bridge.accounts import BridgeAccounts
from bridge.app import Bridge, host_name
from bridge.events import JSON
from bridge.fleet import Accounts, Fleet
from bridge.fleet.user_data import Member, Table
from bridge.settings import Account, Kafka, Settings, WebServices
from bridge.settings import Fleet as FleetSettings
from bridge.status import Status

NAMES = ("a", "b", "c")


def settings(*, enabled: bool) -> Settings:
    return Settings(
        web_services=WebServices(url="http://127.0.0.1:1"),
        accounts=tuple(Account(name=name, username=name, password=SecretStr("secret")) for name in NAMES),
        kafka=Kafka(bootstrap_servers="127.0.0.1:1"),
        fleet=FleetSettings(enabled=enabled, replica="here" if enabled else None),
    )


def bridge(*, enabled: bool) -> Bridge:
    return Bridge(settings(enabled=enabled))


async def test_a_bridge_without_a_fleet_shows_itself() -> None:
    """Without a fleet the bridge is the only replica; before Kafka has told of slots it shows none."""
    [replica] = (view := bridge(enabled=False).status.fleet()).replicas
    assert (replica.name, replica.slots, replica.accounts, view.slots) == (host_name(), [], [], [])


async def test_a_replica_shows_the_whole_fleet() -> None:
    """Every account is in its slot, each slot at its owner, and a slot without an owner has none."""
    parts = settings(enabled=True)
    accounts = BridgeAccounts(parts, JSON, None)
    fleet = Fleet(
        parts.kafka,
        "here",
        Accounts(accounts.bridges, accounts.keys, lambda: 0.0, lambda _: accounts.slots),
        session_timeout=6,
    )
    status = Status(parts.kafka, JSON, accounts, fleet=fleet, file=None, requests=None, replica="here", since=0.0)
    assert status.fleet().replicas == []
    fleet.table = Table(
        epoch=1,
        slots=3,
        members=[Member(name="here", since=0.0, slots=[0]), Member(name="there", since=60.0, slots=[2, 999])],
        orphaned=[],
    )
    view = status.fleet()
    assert [(slot.slot, slot.replica) for slot in view.slots] == [(0, "here"), (1, None), (2, "there")]
    assert sorted(name for slot in view.slots for name in slot.accounts) == list(NAMES)
    shown = {replica.name: replica for replica in view.replicas}
    assert shown["here"].accounts == view.slots[0].accounts
    assert shown["there"].since == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


async def test_the_sessions_of_a_bridge_without_a_fleet() -> None:
    """Without a fleet the bridge relays all accounts, so both scopes of GET /sessions are the same."""
    one = bridge(enabled=False)
    shown = await one.status.fleet_sessions()
    assert [view.model_copy(update={"as_of": None}) for view in shown] == [
        view.model_copy(update={"as_of": None}) for view in one.status.sessions()
    ]
    assert [(view.account, view.replica) for view in shown] == [(name, host_name()) for name in NAMES]


async def test_a_replica_that_is_not_in_the_group_yet() -> None:
    """Before its first assignment a replica knows of no other session."""
    assert await bridge(enabled=True).status.fleet_sessions() == []
