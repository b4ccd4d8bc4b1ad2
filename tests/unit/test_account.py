"""One account's parts: what readiness and `/sessions` say of them."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from prometheus_client import REGISTRY

from bridge.account import AccountBridge
from bridge.cometd import SessionStatus, State
from bridge.delivery import EMPTY_POSITION, AccountKeys, KafkaProbe, Publisher, Slots
from bridge.errors import LoginRefused, UpstreamError
from bridge.events import JSON, session_hash
from bridge.settings import Account, Fleet, Kafka, Settings, WebServices
from bridge.simulator import Fault, Simulator
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import FakeSession
from tests.unit.test_webservices_client import PATH
from tests.waiting import eventually


def account_at(
    url: str,
    *,
    kafka: KafkaProbe | None = None,
    max_interval: float = 10,
    fleet: Fleet | None = None,
    publisher: Publisher | None = None,
) -> AccountBridge:
    site = WebServices.model_validate(
        {"url": url, "username": "agent", "password": "secret", "request_timeout": 2, "max_interval": max_interval}
    )
    settings = Settings(web_services=site, kafka=Kafka(bootstrap_servers="127.0.0.1:1"), fleet=fleet or Fleet())
    account = Account.model_validate({"name": "agent", "username": "agent", "password": "secret"})
    keys = AccountKeys(account.name, account.password)
    return AccountBridge(
        settings,
        account,
        kafka or KafkaProbe(settings.kafka, ["agent"]),
        JSON,
        None,
        publisher=publisher or Slots(settings.kafka).publisher(keys),
        keys=keys,
    )


async def test_logins_that_are_not_kept_are_told_steadily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness and `/sessions` say `login-not-kept`, also while polls work and right after a login that worked."""
    session = FakeSession()
    session.status = SessionStatus(client_id="c", state=State.CONNECTED)
    monkeypatch.setattr("bridge.relay.relay.CometdSession", session)
    async with Simulator() as upstream:
        bridge = account_at(upstream.url, publisher=MemoryPublisher(MemoryKafka(), "agent"))
        async with asyncio.TaskGroup() as group:
            group.create_task(bridge.run(disconnect_on_exit=False))
            await session.running.wait()
            with suppress(UpstreamError):
                await bridge.client.forward(PATH, b"{}")
            assert "login" not in [one.name for one in bridge.missing()]
            assert bridge.view("replica").reason is None
            upstream.faults.add(Fault("other-node"))
            for _ in range(4):
                with suppress(UpstreamError):
                    await bridge.client.forward(PATH, b"{}")
            upstream.faults.clear()
            for _ in range(3):
                with suppress(UpstreamError):
                    await bridge.client.forward(PATH, b"{}")
                [reason] = [one.reason for one in bridge.missing() if one.name == "login"]
                assert (
                    reason
                    == "login-not-kept: Web Services forgets each login at the next request; is the balancer sticky?"
                )
                assert bridge.view("replica").reason == "login-not-kept"
            bridge.stop()


def usable_kafka() -> KafkaProbe:
    """A probe that has found Kafka usable."""
    kafka = KafkaProbe(Kafka(bootstrap_servers="127.0.0.1:1"), ["agent"])
    kafka.reason = None
    return kafka


def replica_at(url: str, *, max_interval: float) -> AccountBridge:
    """The account of a replica of a fleet."""
    return account_at(url, kafka=usable_kafka(), max_interval=max_interval, fleet=Fleet(enabled=True))


async def test_a_replica_that_stands_by_is_ready() -> None:
    """An account that another replica relays needs no session here, only Kafka."""
    kafka = usable_kafka()
    bridge = account_at("http://127.0.0.1:1", kafka=kafka, fleet=Fleet(enabled=True))
    assert bridge.stands_by
    assert list(bridge.missing()) == []
    kafka.reason = "kafka unreachable"
    assert [one.name for one in bridge.missing()] == ["kafka"]


async def test_a_refused_login_counts_only_where_the_account_is_relayed() -> None:
    """A replica that stands by is ready, and its metric is 0, because nothing there would try the login again."""
    async with Simulator(password="changed") as upstream:
        bridge = replica_at(upstream.url, max_interval=10)
        async with bridge.http:
            bridge.take_over(Slots(Kafka(bootstrap_servers="127.0.0.1:1")))
            with suppress(LoginRefused):
                await bridge.client.forward(PATH, b"{}")
            assert [one.name for one in bridge.missing()] == ["login"]
            assert REGISTRY.get_sample_value("bridge_login_refused", {"account": "agent"}) == 1
            bridge.let_go()
            assert list(bridge.missing()) == []
            assert REGISTRY.get_sample_value("bridge_login_refused", {"account": "agent"}) == 0


async def test_a_takeover_has_a_grace_of_one_max_interval() -> None:
    """A session that was just taken over makes the replica unready only when it is not connected in time."""
    bridge = replica_at("http://127.0.0.1:1", max_interval=0.2)
    async with bridge.http:
        bridge.take_over(Slots(Kafka(bootstrap_servers="127.0.0.1:1")))
        assert list(bridge.missing()) == []
        await eventually(lambda: "cometd" in [one.name for one in bridge.missing()])
        assert "kafka" in [one.name for one in bridge.missing()]
        bridge.let_go()
        assert list(bridge.missing()) == []


async def test_a_replica_that_lets_go_forgets_the_cookies() -> None:
    """The cookies belong to the session that another replica goes on with: REST calls here log in by themselves."""
    async with Simulator() as upstream:
        bridge = replica_at(upstream.url, max_interval=10)
        async with bridge.http:
            bridge.take_over(Slots(Kafka(bootstrap_servers="127.0.0.1:1")))
            with suppress(UpstreamError):
                await bridge.client.forward(PATH, b"{}")
            assert bridge.http.cookies()
            bridge.let_go()
            assert not bridge.http.cookies()


async def test_the_session_of_another_replica() -> None:
    """The position of another replica's session tells its name, its guarantee and its time, and nothing else."""
    bridge = replica_at("http://127.0.0.1:1", max_interval=10)
    position = msgspec.structs.replace(EMPTY_POSITION, client_id="c", acknowledgement=7, last_reply_at=60.0)
    shown = bridge.view_elsewhere("there", position)
    at = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert (shown.account, shown.replica, shown.as_of, shown.last_reply_at) == ("agent", "there", at, at)
    assert (shown.session, shown.state) == (session_hash("agent", "c"), "connected")
    assert (shown.ack_extension, shown.guarantee, shown.held_events) == (True, "exactly-once", None)
    weaker = bridge.view_elsewhere("there", msgspec.structs.replace(position, acknowledgement=None))
    assert (weaker.ack_extension, weaker.guarantee) == (False, "at-most-once")


async def test_an_account_without_a_session_in_kafka() -> None:
    """Where Kafka has no position, or one without a session, nothing is known of the session."""
    bridge = replica_at("http://127.0.0.1:1", max_interval=10)
    for position in (None, EMPTY_POSITION):
        shown = bridge.view_elsewhere(None, position)
        assert (shown.replica, shown.as_of, shown.session, shown.state) == (None, None, None, "unknown")
