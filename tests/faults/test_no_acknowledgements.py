"""A server without the ack extension: a batch exists only in the bridge, and in its in-flight file."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.site import Site, killed
from tests.waiting import eventually

NO_ACKNOWLEDGEMENTS = pytest.mark.parametrize("web", [{"ack_extension": False, "max_interval": 60.0}], indirect=True)


def only_file(directory: Path) -> Callable[[], bool]:
    return lambda: any(path.suffix == "" for path in directory.glob("in-flight-*"))


@NO_ACKNOWLEDGEMENTS
async def test_kill_while_kafka_is_away(site: Site, tmp_path: Path) -> None:
    """What was received is on the disk before anything else: kill -9 in a Kafka outage loses none of it."""
    state = tmp_path / "state"
    state.mkdir()
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    assert (await bridge.session()).guarantee == "at-most-once"
    assert await bridge.metric("bridge_cometd_ack_extension") == 0
    await site.ledger.publish(10)
    await site.arrived(10)
    async with killed(site.kafka):
        await site.ledger.publish(10)
        await eventually(only_file(state))
        await bridge.kill()
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    assert await bridge.handshakes() == 0
    await site.ledger.publish(10)
    await site.settled()
    assert not only_file(state)()


@NO_ACKNOWLEDGEMENTS
async def test_the_disk_is_full(site: Site, tmp_path: Path) -> None:
    """A full disk is told by log and GET /sessions, and the events flow on; with room again it is told no more."""
    state = tmp_path / "state"
    state.mkdir()
    bridge = await site.ready_bridge(STATE_DIR=str(state))
    await site.ledger.publish(5)
    await site.arrived(5)
    name = "in-flight-" + "mftwk3tu.new"
    (state / name).symlink_to("/dev/full")
    await site.ledger.publish(5)
    await site.arrived(10)
    assert (await bridge.session()).reason == "in-flight-unwritable"
    assert bridge.events("in-flight-unwritable")
    (state / name).unlink()
    await site.ledger.publish(5)
    await site.arrived(15)
    assert (await bridge.session()).reason is None
    await site.settled()


@NO_ACKNOWLEDGEMENTS
@pytest.mark.parametrize("place", ["absent", "file"])
async def test_the_state_directory_is_none(site: Site, tmp_path: Path, place: str) -> None:
    """A state directory that isn't there, or is no directory, does not keep the bridge from relaying, and is told."""
    (tmp_path / "file").touch()
    bridge = await site.ready_bridge(STATE_DIR=str(tmp_path / place))
    await site.ledger.publish(5)
    await site.arrived(5)
    assert (await bridge.session()).reason == "in-flight-unwritable"
    async with asyncio.timeout(5):
        assert await bridge.live()
    await site.settled()
