"""What the replicas tell each other: the leader's table, and bytes that no bridge has written."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.fleet.plan import FleetPlan
from bridge.fleet.user_data import LARGEST, LAST_EPOCH, Member, Membership, Table, decode


class Replica:
    """A replica that owns whatever it was given last."""

    def __init__(self, name: str) -> None:
        self.slots: frozenset[int] = frozenset()
        self.table: Table | None = None
        self.able = True
        self.plan = FleetPlan(
            name, 1e9, owned=lambda: self.slots, able=lambda: self.able, busy=lambda _: {3}, on_table=self._take
        )

    def _take(self, table: Table, slots: frozenset[int]) -> None:
        self.table, self.slots = table, slots


def rebalance(slots: int, **members: Replica) -> None:
    leader = next(iter(members.values()))
    shares = leader.plan.divide(slots, {one: member.plan.claim() for one, member in members.items()})
    for one, member in members.items():
        member.plan.assigned(*shares[one])


def test_every_member_gets_the_same_table() -> None:
    """The table names all replicas with their slots, and is the same for each of them."""
    a, b = Replica("a"), Replica("b")
    rebalance(4, x=b, y=a)
    assert a.table == b.table
    assert a.table is not None
    assert [(one.name, one.slots) for one in a.table.members] == [("a", sorted(a.slots)), ("b", sorted(b.slots))]
    assert a.slots | b.slots == set(range(4))
    assert a.table.orphaned == [0, 1, 2, 3]


def test_a_replica_that_slept_has_the_older_claim() -> None:
    """A replica that was away for an assignment loses its slots to the replica that has them now."""
    a, b = Replica("a"), Replica("b")
    rebalance(2, a=a)
    rebalance(2, b=b)  # the fleet without a: b does not know that assignment's number
    rebalance(2, b=b)
    rebalance(2, a=a, b=b)
    assert len(a.slots) == len(b.slots) == 1
    assert a.table is not None
    assert a.table.epoch == 3


def test_an_orphaned_slot_is_one_that_nobody_claims() -> None:
    """The table tells which slots had no owner before."""
    a, b = Replica("a"), Replica("b")
    rebalance(4, a=a, b=b)
    lost = b.slots
    rebalance(4, a=a)
    assert a.table is not None
    assert a.table.orphaned == sorted(lost)


@given(st.one_of(st.none(), st.binary(max_size=200)))
def test_a_member_that_is_no_bridge_gets_no_slot(said: bytes | None) -> None:
    """Whatever a foreign member says, it gets no slot, and the bridges share all of them."""
    a = Replica("a")
    shares = a.plan.divide(5, {"a": a.plan.claim(), "b": said})
    assert list(shares["b"][0]) == []
    a.plan.assigned(*shares["a"])
    assert a.slots == set(range(5))


@given(st.one_of(st.none(), st.binary(max_size=200)), st.lists(st.integers(-5, 2000)))
def test_an_assignment_that_no_bridge_has_made_is_ignored(data: bytes | None, slots: list[int]) -> None:
    """Bytes that are no table leave the replica as it was."""
    a = Replica("a")
    rebalance(3, a=a)
    a.plan.assigned(slots, data)
    assert a.slots == {0, 1, 2}


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"replica": ""},
        {"replica": "a b"},
        {"replica": "a" * 254},
        {"replica": None},
        {"since": -1},
        {"since": 1e300},
        {"epoch": -1},
        {"epoch": LAST_EPOCH + 1},
        {"epoch": True},
        {"slots": [-1]},
        {"slots": [1000]},
        {"slots": [0] * 1001},
        {"slots": "0"},
    ],
)
def test_what_does_not_fit_is_not_read(changed: dict[str, object]) -> None:
    """Each field has its bounds; one that is outside makes the whole unreadable."""
    fine: dict[str, object] = {"version": 1, "replica": "a", "since": 5, "epoch": 0, "slots": [0]}
    assert decode(msgspec.json.encode(fine), Membership) is not None
    assert decode(msgspec.json.encode(fine | {"later": 1}), Membership) is not None
    assert decode(msgspec.json.encode(fine | changed), Membership) is None


def test_user_data_is_bounded() -> None:
    """More bytes than a bridge would send are not looked at; nor are brackets without end."""
    said = msgspec.json.encode(Membership(replica="a", since=1, epoch=0, slots=[]))
    assert decode(said + b" " * LARGEST, Membership) is None
    assert decode(b'{"later":' + b"[" * 100_000, Membership) is None


def test_the_last_epoch_is_still_read() -> None:
    """A member that claims the last epoch does not make the next table unreadable."""
    a = Replica("a")
    said = msgspec.json.encode(Membership(replica="b", since=1, epoch=LAST_EPOCH, slots=[]))
    shares = a.plan.divide(2, {"a": a.plan.claim(), "b": said})
    a.plan.assigned(*shares["a"])
    assert a.table is not None
    assert a.table.epoch == LAST_EPOCH


def test_slots_beyond_the_table_are_ignored() -> None:
    """A replica takes no slot that the table says does not exist."""
    a = Replica("a")
    table = Table(epoch=1, slots=2, members=[Member(name="a", since=1, slots=[0])], orphaned=[])
    a.plan.assigned([0, 2, 7], msgspec.json.encode(table))
    assert a.slots == {0}


def test_a_replica_that_does_not_reach_web_services_gets_no_slot() -> None:
    """It stays in the table, without slots, for as long as another replica reaches Web Services."""
    a, b = Replica("a"), Replica("b")
    rebalance(4, a=a, b=b)
    a.able = False
    rebalance(4, a=a, b=b)
    assert (len(a.slots), len(b.slots)) == (0, 4)
    a.able = True
    rebalance(4, a=a, b=b)
    assert (len(a.slots), len(b.slots)) == (2, 2)
