from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd.advice import (
    LONGEST_INTERVAL,
    LONGEST_MAX_INTERVAL,
    LONGEST_TIMEOUT,
    PARKED,
    SHORTEST_MAX_INTERVAL,
    Advice,
    Reconnect,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["reconnect", "interval", "timeout", "maxInterval", "multiple-clients", "long-polling", "hosts"]
)


def advice(**fields: Any) -> Advice:
    read = Advice.of({"advice": fields})
    assert read is not None
    return read


def test_milliseconds_become_seconds() -> None:
    """The wire has milliseconds, the bridge has seconds."""
    read = Advice.of({"advice": {"reconnect": "retry", "interval": 250, "timeout": 30_000, "maxInterval": 10_000}})
    assert read == Advice(reconnect=Reconnect.RETRY, interval=0.25, timeout=30.0, max_interval=10.0)


def test_defaults() -> None:
    """An empty advice is one: retry at once, polls parked for CometD's 30 s, maxInterval untold."""
    assert advice() == Advice(Reconnect.RETRY, interval=0.0, timeout=PARKED, max_interval=None)


@pytest.mark.parametrize("reply", [{}, {"advice": None}, {"advice": "retry"}, {"advice": []}])
def test_no_advice(reply: dict[str, Any]) -> None:
    """A reply without an advice object leaves the earlier advice in force."""
    assert Advice.of(reply) is None


@pytest.mark.parametrize("reconnect", list(Reconnect))
def test_the_three_values(reconnect: Reconnect) -> None:
    """`retry`, `handshake` and `none` are read as they are."""
    assert advice(reconnect=reconnect.value).reconnect is reconnect


def test_an_unknown_reconnect() -> None:
    """A value that Bayeux does not know counts as `retry`, its default."""
    assert advice(reconnect="perhaps").reconnect is Reconnect.RETRY


def test_a_negative_interval() -> None:
    """CometD: a negative interval says not to retry."""
    read = advice(reconnect="retry", interval=-1)
    assert (read.reconnect, read.interval) == (Reconnect.NONE, 0.0)


def test_the_transport_s_own_part() -> None:
    """What is advised for long polling stands over the general advice, field by field; other transports' does not."""
    fields = {"interval": 100, "timeout": 5000, "long-polling": {"interval": 700}, "websocket": {"timeout": 1}}
    read = Advice.of({"advice": fields})
    assert read == Advice(interval=0.7, timeout=5.0)


def test_multiple_clients() -> None:
    """Where two sessions of one browser poll, the advice is no other than its interval."""
    read = Advice.of({"advice": {"multiple-clients": True, "interval": 2000}})
    assert read == Advice(interval=2.0)


@given(st.dictionaries(FIELDS, ANYTHING) | ANYTHING)
def test_any_advice(fields: object) -> None:
    """Whatever a server advises is read without an error, and never as a negative time."""
    read = Advice.of({"advice": fields})
    if read is not None:
        assert 0 <= read.interval <= LONGEST_INTERVAL
        assert 0 <= read.timeout <= LONGEST_TIMEOUT
        assert read.max_interval is None or SHORTEST_MAX_INTERVAL <= read.max_interval <= LONGEST_MAX_INTERVAL
        assert isinstance(read.reconnect, Reconnect)


@pytest.mark.parametrize("number", [86_400_000, 10**30, 10**400, 1e300])
@pytest.mark.parametrize(
    ("field", "attribute", "bound"),
    [
        ("interval", "interval", LONGEST_INTERVAL),
        ("timeout", "timeout", LONGEST_TIMEOUT),
        ("maxInterval", "max_interval", LONGEST_MAX_INTERVAL),
    ],
)
def test_a_number_out_of_bounds(field: str, attribute: str, bound: float, number: float) -> None:
    """Days, and numbers that no float can hold, become the longest time that makes sense, and are marked."""
    read = advice(**{field: number})
    assert (getattr(read, attribute), read.out_of_bounds) == (bound, True)


def test_a_max_interval_of_a_millisecond() -> None:
    """A tiny maxInterval does not make signs of life a storm."""
    assert advice(maxInterval=1) == Advice(max_interval=SHORTEST_MAX_INTERVAL, out_of_bounds=True)


@pytest.mark.parametrize("field", ["timeout", "maxInterval"])
@pytest.mark.parametrize("number", [-1, -(10**400)])
def test_a_negative_time(field: str, number: int) -> None:
    """A negative time counts as not told, and is marked."""
    assert advice(**{field: number}) == Advice(out_of_bounds=True)
