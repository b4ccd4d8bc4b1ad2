"""The calls that wait in a slot, and the names that slots sign their positions with."""

import asyncio

import pytest

from bridge.delivery.client.partition import partition_of
from bridge.delivery.client.topics import transactional_ids_of
from bridge.delivery.position.owner import Owner, new_owner, owner_of
from bridge.delivery.position.stored import StoredPosition
from bridge.delivery.slots.attempt import PublishAttempt
from bridge.delivery.slots.kafka_publisher import new_call
from bridge.delivery.slots.transaction import MOST_RECORDS, Call, Transaction
from bridge.delivery.slots.waiting import WaitingCalls
from bridge.events import Record
from bridge.settings import Kafka


def call(account: str, records: int = 1) -> Call:
    these = [Record("acknowledgements.v1", b"k", b"{}", [])] * records
    return new_call(account, PublishAttempt(account, these, StoredPosition(owner="o", turn=1), 0))


def test_an_owner_tells_the_bridge_and_the_pair() -> None:
    """What a position's `owner` says comes back whole, under each pair of transactional ids."""
    owner = new_owner()
    for pair in (0, 1, 17):
        assert owner_of(str(owner.with_pair(pair))) == owner.with_pair(pair)


@pytest.mark.parametrize(
    "owner", ["", "0123456789abcdef", "slot-0123456789abcdef", "slot-0-xyz", "slot--0123456789abcdef"]
)
def test_other_owners_are_not_a_slots(owner: str) -> None:
    """An earlier version's name, or a foreign one, is neither this bridge's nor in its way."""
    assert owner_of(owner) is None
    assert not new_owner().wrote(owner)
    assert not new_owner().collides(owner)


def test_only_another_bridge_under_the_same_pair_collides() -> None:
    """A bridge is not in its own way, and not in the way of a bridge with another pair."""
    owner, other = new_owner(), new_owner()
    assert owner.collides(str(other))
    assert not owner.collides(str(other.with_pair(1)))
    assert not owner.collides(str(owner))
    assert owner.wrote(str(owner.with_pair(1)))
    assert not owner.wrote(str(other))


def test_pairs_have_no_id_in_common() -> None:
    """Each pair of a slot has two transactional ids of its own; the first pair's end in 0 and 1."""
    settings = Kafka(bootstrap_servers="127.0.0.1:9")
    assert transactional_ids_of(settings, 3) == ("gws.slot.3.0", "gws.slot.3.1")
    assert transactional_ids_of(settings, 3, Owner("b", 1).pair) == ("gws.slot.3.2", "gws.slot.3.3")


def call_of(account: str, *keys: str, size: int = 2) -> Call:
    these = [Record("acknowledgements.v1", key.encode(), b"x" * size, []) for key in keys]
    return new_call(account, PublishAttempt(account, these, StoredPosition(owner="o", turn=1), 0))


async def test_the_calls_of_a_transaction_share_its_batches() -> None:
    """Records of several calls for one partition go out in one batch, in the order of the calls."""
    partitions = {"acknowledgements.v1": 2}
    one, other, third = keys_of(0)[0], keys_of(0)[1], keys_of(1)[0]
    calls = [call_of("a", one, third), call_of("b", other)]
    transaction = Transaction(calls)
    sent = {batch.partition: batch for batch in transaction.batches(partitions, {})}
    assert [record.key.decode() for record in sent[0].records] == [one, other]
    assert [record.key.decode() for record in sent[1].records] == [third]
    assert transaction.shares(sent[0])
    assert not transaction.shares(sent[1])
    [positions] = transaction.positions()
    assert [record.key for record in positions.records] == [b"a", b"b"]
    blamed = transaction.refused({sent[0]: "refused", sent[1]: "too-large"})
    assert list(blamed) == calls
    assert [list(why.values()) for why in blamed.values()] == [["too-large"], []]
    again = Transaction(calls)
    assert [len(batch.records) for batch in again.batches(partitions, {})] == [2, 1]


async def test_a_shared_batch_stays_within_the_limit() -> None:
    """What does not fit into a batch goes into the next one, and the order stays."""
    key = keys_of(0)[0]
    calls = [call_of(account, key, size=size) for account, size in zip("abcd", (400, 400, 400, 400), strict=True)]
    transaction = Transaction(calls)
    sent = transaction.batches({"acknowledgements.v1": 2}, {"acknowledgements.v1": 1000})
    assert [len(batch.records) for batch in sent] == [2, 2]


def keys_of(partition: int) -> list[str]:
    """Two keys that belong to this partition of two."""
    return [key for key in map(str, range(100)) if partition_of(key.encode(), 2) == partition][:2]


async def test_all_that_waits_is_taken_together_within_bounds() -> None:
    """The next transaction takes the calls in their order, until it holds as many records as it may."""
    waiting = WaitingCalls({"a", "b", "c"})
    calls = [call("a", MOST_RECORDS), call("b"), call("c")]
    for one in calls:
        waiting.add(one)
    assert waiting.take() == calls[:1]
    assert waiting.take() == calls[1:]
    assert waiting.take() == []


async def test_calls_that_were_put_back_come_before_later_ones() -> None:
    """After a failure the calls keep their order; those of accounts that have left, or are done, are dropped."""
    accounts = {"a", "b", "c"}
    waiting = WaitingCalls(accounts)
    first, second, third = call("a"), call("b"), call("c")
    waiting.add(third)
    second.done.cancel()
    waiting.put_back([first, second])
    assert waiting.take() == [first, third]
    accounts.remove("a")
    waiting.put_back([first])
    assert waiting.take() == []


async def test_calls_apart_and_calls_together_take_turns() -> None:
    """A refused call goes alone and after the others; then the two kinds alternate, so that neither waits for ever."""
    waiting = WaitingCalls({"a", "b", "c"})
    refused, again, other, later = call("a"), call("b"), call("c"), call("c")
    refused.apart = again.apart = True
    waiting.put_back([refused, again, other])
    assert waiting.take() == [other]
    waiting.add(later)
    assert waiting.take() == [refused]
    assert waiting.take() == [later]
    assert waiting.take() == [again]


async def test_a_call_that_was_put_off_waits_for_its_time() -> None:
    """Only after `not_before` is the call due; until then it holds nobody up."""
    waiting = WaitingCalls({"a", "b"})
    put_off, other = call("a"), call("b")
    put_off.apart, put_off.not_before = True, asyncio.get_running_loop().time() + 0.05
    waiting.put_back([put_off])
    waiting.add(other)
    assert waiting.take() == [other]
    assert waiting.put_off() == {"a"}
    async with asyncio.timeout(30):
        await waiting.until_due(lambda: False)
    assert waiting.take() == [put_off]
