"""The predecessors of a slot's accounts: who has overtaken a takeover, and who only came before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from bridge.delivery import AccountKeys, Slots
from bridge.delivery.position.owner import Owner
from bridge.delivery.position.reader import Found, Reading
from bridge.delivery.position.stored import StoredPosition
from bridge.delivery.slots.takeover import Predecessors
from bridge.settings import Kafka

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.delivery.slots.kafka_publisher import KafkaPublisher

OWN: Final = Owner("0" * 16)
FIRST: Final = str(Owner("1" * 16))
SECOND: Final = str(Owner("2" * 16))
ELSEWHERE: Final = str(Owner("3" * 16, pair=1))


def members(*names: str) -> dict[str, KafkaPublisher]:
    slots = Slots(Kafka(bootstrap_servers="127.0.0.1:1"))
    return {name: slots.publisher(AccountKeys(name, SecretStr("p"))) for name in names}


def reading(owners: Mapping[str, str | None]) -> Reading:
    """A reading that found these owners in the accounts' last records. None stands for an account without a record."""
    found = {name: None if owner is None else StoredPosition(owner=owner, turn=0) for name, owner in owners.items()}
    return Reading(accounts={name: Found(stored=stored) for name, stored in found.items()})


class Slot:
    """The part of a slot that notes its predecessors: `look` returns the accounts that others have taken over."""

    def __init__(self) -> None:
        self.predecessors = Predecessors()
        self.members: dict[str, KafkaPublisher] = {}

    def look(self, owners: Mapping[str, str | None]) -> list[str]:
        found = reading(owners)
        self.predecessors.note(found, list(self.members.values()), self.members)
        return self.predecessors.overtakers(found, OWN)


def test_the_owner_of_the_first_reading_has_not_overtaken() -> None:
    """Only an owner that another reading shows later has overtaken, and only with the same transactional ids."""
    slot = Slot()
    slot.members |= members("a", "b", "c")
    assert slot.look({"a": FIRST, "b": FIRST, "c": None}) == []
    assert slot.look({"a": FIRST, "b": SECOND, "c": SECOND}) == ["b", "c"]
    assert slot.look({"a": ELSEWHERE, "b": FIRST, "c": None}) == []


def test_a_later_account_counts_from_its_own_first_reading() -> None:
    """The owner that the first reading of a later account shows came before it, whatever was read before."""
    slot = Slot()
    slot.members |= members("a")
    slot.look({"a": FIRST})
    slot.members |= members("b")
    assert slot.look({"a": FIRST, "b": SECOND}) == []
    assert slot.look({"a": FIRST, "b": FIRST}) == ["b"]


def test_an_account_that_returns_is_read_anew() -> None:
    """Whoever relayed an account while it was away came before it."""
    slot = Slot()
    slot.members |= members("a")
    slot.look({"a": FIRST})
    slot.predecessors.forget("a")
    assert slot.look({"a": SECOND}) == []


def test_an_account_that_leaves_during_a_reading_is_not_noted() -> None:
    """Its owner in that reading says nothing about a later return, and nobody gives way for it."""
    slot = Slot()
    read = members("a", "b")
    slot.members |= {"b": read["b"]} | members("a")  # "a" has left, and another publisher of "a" has come
    found = reading({"a": FIRST, "b": FIRST})
    slot.predecessors.note(found, list(read.values()), slot.members)
    assert found.accounts.keys() == {"b"}
    assert slot.look({"a": SECOND, "b": FIRST}) == []


def test_the_pair_is_chosen_once() -> None:
    """The first reading with an account chooses the lowest pair of its owners. Later ones don't change the pair."""
    predecessors = Predecessors()
    assert predecessors.first_pair(reading({})) is None
    assert predecessors.first_pair(reading({"a": ELSEWHERE, "b": None})) == 1
    predecessors.forget("a")
    assert predecessors.first_pair(reading({"a": FIRST})) is None
