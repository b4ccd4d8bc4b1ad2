"""A server without the ack extension: what arrived exists only in the bridge, and in its in-flight files."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.bridge_process import BridgeProcess
from tests.faults.site import Site, killed
from tests.real import RealKafka
from tests.waiting import eventually

NO_ACKNOWLEDGEMENTS = pytest.mark.parametrize("web", [{"ack_extension": False, "max_interval": 60.0}], indirect=True)
ROUNDS = 5
EACH = 50


def files(directory: Path) -> list[Path]:
    return [path for path in directory.glob("in-flight-*") if not path.suffix]


def as_many(directory: Path, count: int) -> Callable[[], bool]:
    return lambda: len(files(directory)) >= count


@NO_ACKNOWLEDGEMENTS
async def test_kill_while_kafka_is_away(site: Site, tmp_path: Path, own_kafka: RealKafka) -> None:
    """What was received is on the disk before anything else: kill -9 in a Kafka outage loses none of it."""
    state = tmp_path / "state"
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    assert state.stat().st_mode & 0o777 == 0o700
    assert (await bridge.session()).guarantee == "at-most-once"
    assert await bridge.metric("bridge_cometd_ack_extension") == 0
    await site.ledger.publish(10)
    await site.arrived(10)
    async with killed(own_kafka):
        await site.ledger.publish(10)
        await eventually(as_many(state, 1))
        await bridge.kill()
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    assert await bridge.handshakes() == 0
    await site.ledger.publish(10)
    await site.settled()
    assert not files(state)


@NO_ACKNOWLEDGEMENTS
async def test_kill_with_events_that_came_on_keep_alives(site: Site, tmp_path: Path, own_kafka: RealKafka) -> None:
    """While Kafka is away events arrive on replies to keep-alives: kill -9 loses none, and they keep their order."""
    state = tmp_path / "state"
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    await site.ledger.publish(EACH)
    await site.arrived(EACH)
    async with killed(own_kafka):
        for arrived in range(1, ROUNDS + 1):
            await site.ledger.publish(EACH)
            await eventually(as_many(state, arrived), within=20)
        await bridge.kill()
        assert len(files(state)) == ROUNDS
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    assert await bridge.handshakes() == 0
    await site.ledger.publish(EACH)
    await site.settled()
    assert not files(state)


@NO_ACKNOWLEDGEMENTS
async def test_the_disk_goes_away(site: Site, tmp_path: Path) -> None:
    """Files that can't be written are told by log and GET /sessions, and the events flow on; then told no more."""
    state = tmp_path / "state"
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    await site.ledger.publish(5)
    await site.arrived(5)
    shutil.rmtree(state)
    await site.ledger.publish(5)
    await site.arrived(10)
    assert (await bridge.session()).reason == "in-flight-unwritable"
    assert bridge.events("in-flight-unwritable")
    state.mkdir()
    await site.ledger.publish(5)
    await site.arrived(15)

    async def told_no_more() -> bool:
        return (await bridge.session()).reason is None

    await bridge.until(told_no_more, within=10, what="told no more")
    await site.settled()


@NO_ACKNOWLEDGEMENTS
async def test_damaged_files(site: Site, tmp_path: Path) -> None:
    """Whatever lies under the names of in-flight files, the bridge starts, relays, and keeps it for people to see."""
    state = tmp_path / "state"
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    await site.ledger.publish(5)
    await site.arrived(5)
    await bridge.terminate()
    base = "in-flight-mftwk3tu"
    (state / base).write_bytes(b"no batch")
    (state / f"{base}-000000000007").symlink_to("/dev/zero")
    (state / f"{base}-000000000008").mkdir()
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    assert len(bridge.events("in-flight-damaged")) == 3
    await site.ledger.publish(5)
    await site.settled()
    assert not files(state)
    assert len(list(state.glob("*.damaged"))) == 3


async def ended(bridge: BridgeProcess) -> int:
    return await bridge.exited(within=20)


@pytest.mark.parametrize("place", ["file", "file/state", "/proc/state"])
async def test_a_state_directory_that_cannot_be_written(site: Site, tmp_path: Path, place: str) -> None:
    """A state directory that can't be used stops the start, with one line that names the variable."""
    (tmp_path / "file").touch()
    bridge = await site.bridge(STATE_DIR=str(tmp_path / place))
    async with asyncio.timeout(20):
        assert await ended(bridge) == 2
    [line] = [line for line in bridge.output().splitlines() if "BRIDGE_STATE_DIR" in line]
    assert "can't be used" in line
    assert not bridge.events("listening")
