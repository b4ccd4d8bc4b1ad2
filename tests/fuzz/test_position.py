"""Values on `bridge-state` that anybody with the right to write there may have put there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.cometd import HttpSession
from bridge.delivery import Position, Unsealable
from bridge.delivery.position.keys import AccountKeys
from bridge.delivery.position.stored import (
    StoredPosition,
    Unreadable,
    decode,
    encode,
    open_position,
    seal_position,
    verify,
)
from bridge.relay import Relay
from tests.fuzz.budget import fuzzed
from tests.fuzz.strategies import bodies, sweep
from tests.memory_kafka import MemoryKafka, MemoryPublisher
from tests.unit.relay_parts import ACCOUNT, OPTIONS, NoCredentials

POSITION = Position("client", {"JSESSIONID": "x", "BAYEUX_BROWSER": "y"}, 7, 20, 25, 1_767_268_800.0)


@cache
def keys() -> AccountKeys:
    """The keys of an account; deriving them takes a while."""
    found = AccountKeys(ACCOUNT, SecretStr("a password"), "gws")
    asyncio.run(found.start("position"))
    return found


@cache
def stored() -> bytes:
    """A position as the bridge itself writes it."""
    return encode(seal_position(POSITION, keys(), StoredPosition(owner="0123456789abcdef", turn=3)))


async def begun(position: Position | None) -> None:
    """Start a relay at that position; with no session to go on with it tells of a gap."""
    kafka = MemoryKafka()
    if position is not None:
        kafka.positions[ACCOUNT] = position
    async with HttpSession("http://127.0.0.1:9", request_timeout=1) as http:
        relay = Relay(OPTIONS, http, NoCredentials(), MemoryPublisher(kafka, ACCOUNT))
        resume = await relay.begin()
        if resume is not None:
            http.restore_cookies(resume.cookies)


def opened(value: bytes) -> None:
    """Do with a stored value what a start does."""
    try:
        found = decode(value)
    except Unreadable:
        return
    encode(found)  # a claim writes it again, with another owner

    async def main() -> None:
        position = None
        with suppress(Unsealable):
            await verify(found, keys())
            position = await open_position(found, keys())
            assert position == POSITION, "only what this bridge sealed and signed opens"
        await begun(position)

    asyncio.run(main())


def test_no_single_odd_value_in_a_position_stops_a_start() -> None:
    """Each member of a stored position may hold each odd value: it is unreadable, does not open, or is harmless."""
    document = msgspec.json.decode(stored())
    for name, value in sweep(document):
        try:
            opened(value)
        except Exception as error:  # noqa: BLE001 -- says which of the many it was
            pytest.fail(f"{name}: {error!r}")


@fuzzed(200)
@given(st.data())
def test_no_bytes_in_a_position_stop_a_start(data: Any) -> None:
    """Changed and damaged positions are unreadable, do not open, or are harmless."""
    opened(data.draw(bodies(msgspec.json.decode(stored()))))
