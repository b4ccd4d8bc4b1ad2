"""What a slot with several accounts promises, on any broker."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from bridge.delivery import AccountKeys, Slots
from bridge.delivery.slots.commit import SlotProducers
from bridge.delivery.slots.kafka_publisher import KafkaPublisher
from bridge.delivery.slots.transaction import Transaction
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import ACKNOWLEDGEMENTS, numbered, position, record, values
from tests.behaviour.publisher_on_kafka import next_producer
from tests.waiting import eventually

ACCOUNTS = ("alice", "bob", "carol", "dave", "erin")


async def started(cluster: KafkaCluster, *accounts: str) -> list[KafkaPublisher]:
    publishers = cluster.process(*accounts)
    await asyncio.gather(*(one.start() for one in publishers))
    return publishers


def committed_accounts(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The accounts of each transaction from now on, in order, as they are tried."""
    seen: list[list[str]] = []
    commit = SlotProducers.commit

    async def watched(producers: SlotProducers, one: Transaction) -> int:
        seen.append([call.account for call in one.calls])
        return await commit(producers, one)

    monkeypatch.setattr(SlotProducers, "commit", watched)
    return seen


class SlotBehaviour:
    """`one_slot` is a cluster where all accounts share a slot."""

    async def test_accounts_that_wait_share_a_transaction(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What gathers during one transaction goes out in the next one, and each account keeps its own position."""
        publishers = await started(one_slot, *ACCOUNTS)
        seen = committed_accounts(monkeypatch)
        for turn in range(3):
            calls = [one.publish([record(b"%d" % turn)], position(turn + n)) for n, one in enumerate(publishers)]
            await asyncio.gather(*calls)
        assert len(seen) < 3 * len(ACCOUNTS)
        assert max(map(len, seen)) == len(ACCOUNTS)
        assert len(values(await one_slot.published(), ACKNOWLEDGEMENTS)) == 3 * len(ACCOUNTS)
        for n, one in enumerate(one_slot.process(*ACCOUNTS)):
            found = await one.start()
            assert found is not None
            assert found.next_sequence == 2 + n

    async def test_a_slot_claims_all_its_accounts_together(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first account that starts makes the slot claim all of them, in one transaction."""
        seen = committed_accounts(monkeypatch)
        first, *others = one_slot.process(*ACCOUNTS)
        await first.start()
        assert [sorted(names) for names in seen] == [sorted(ACCOUNTS)]
        await asyncio.gather(*(one.start() for one in others))
        assert len(seen) == 1

    async def test_a_lost_reply_is_settled_for_each_account(self, one_slot: KafkaCluster) -> None:
        """Where the commit's reply is lost no account's records are published again."""
        publishers = await started(one_slot, *ACCOUNTS)
        producer = next_producer(publishers[0])
        commit = producer.commit

        async def commit_and_lose_the_reply() -> None:
            await commit()
            producer.committing = True
            raise KafkaConnectionError

        producer.commit = commit_and_lose_the_reply  # type: ignore[method-assign]
        for turn in range(2):
            await asyncio.gather(*(one.publish([record(b"%d" % turn)], position(turn)) for one in publishers))
        got = values(await one_slot.published(), ACKNOWLEDGEMENTS)
        assert sorted(got) == [b"0"] * len(ACCOUNTS) + [b"1"] * len(ACCOUNTS)

    async def test_one_account_leaves_and_the_others_go_on(self, one_slot: KafkaCluster) -> None:
        """An account that stops, or whose call is cancelled, takes nothing from the others of its slot."""
        first, second, *others = await started(one_slot, *ACCOUNTS)
        publishing = asyncio.ensure_future(first.publish(numbered(100, 50), position(1)))
        await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.gather(*(one.publish([record(b"1")], position(1)) for one in (second, *others)))
        await second.stop()
        await asyncio.gather(*(one.publish([record(b"2")], position(2)) for one in others))
        got = values(await one_slot.published(), ACKNOWLEDGEMENTS)
        assert [got.count(b"1"), got.count(b"2")] == [4, 3]

    async def test_a_flood_does_not_starve_the_others(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An account has one call in a transaction at the most, and a call that waits is in the next one."""
        flood, quiet = await started(one_slot, "alice", "bob")
        seen = committed_accounts(monkeypatch)

        async def flooding() -> None:
            for turn in range(4):
                await flood.publish(numbered(2000 * turn, 2000), position(turn))

        async with asyncio.TaskGroup() as group:
            group.create_task(flooding())
            for turn in range(4):
                await quiet.publish([record(b"0", key=b"q")], position(turn))
        assert all(names.count("alice") <= 1 for names in seen)
        assert len(seen) <= 6

    async def test_an_account_joins_a_slot_that_works(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An account that comes later gets its own claim, and the others publish before and after it."""
        slots = Slots(one_slot.settings)
        first = slots.publisher(AccountKeys("alice", one_slot.password))
        await first.start()
        await first.publish([record(b"1")], position(1))
        seen = committed_accounts(monkeypatch)
        second = slots.publisher(AccountKeys("bob", one_slot.password))
        assert await second.start() is None
        assert second.state.connected
        await asyncio.gather(*(one.publish([record(b"2")], position(2)) for one in (first, second)))
        assert seen[0] == ["bob"]
        assert sorted(values(await one_slot.published(), ACKNOWLEDGEMENTS)) == [b"1", b"2", b"2"]
        await asyncio.gather(first.stop(), second.stop())

    @pytest.mark.parametrize("alone", [False, True])
    async def test_an_account_that_returns_continues_from_its_last_position(
        self, one_slot: KafkaCluster, *, alone: bool
    ) -> None:
        """Not the position of an earlier process counts, but that of the slot itself, which the account has left."""
        await (await started(one_slot, "alice"))[0].publish([record(b"0")], position(1))
        slots = Slots(one_slot.settings)
        first = slots.publisher(AccountKeys("alice", one_slot.password))
        others = [] if alone else [slots.publisher(AccountKeys("bob", one_slot.password))]
        await asyncio.gather(*(one.start() for one in (first, *others)))
        await first.publish([record(b"1")], position(7))
        await first.stop()
        again = slots.publisher(AccountKeys("alice", one_slot.password))
        found = await again.start()
        assert found is not None
        assert found.next_sequence == 7
        await again.publish([record(b"2")], position(8))
        await asyncio.gather(*(one.stop() for one in (again, *others)))
        [successor] = await started(one_slot, "alice")
        assert successor.claim is not None

    async def test_a_changed_password_keeps_the_position(self, one_slot: KafkaCluster) -> None:
        """The position is written again with the new key while events are published, and none comes twice."""
        slots, keys = Slots(one_slot.settings), AccountKeys("alice", one_slot.password)
        publisher = slots.publisher(keys)
        await publisher.start()
        await publisher.publish([record(b"1")], position(1))
        publishing = asyncio.ensure_future(publisher.publish([record(b"2")], position(2)))
        await keys.change(SecretStr("another password"))
        publisher.sign_again()
        await publishing
        await eventually(lambda: not publisher.keys_changed)
        await publisher.stop()
        [successor] = one_slot.process("alice", password="another password")
        found = await successor.start()
        assert found is not None
        assert found.next_sequence == 2
        assert values(await one_slot.published(), ACKNOWLEDGEMENTS) == [b"1", b"2"]

    async def test_a_changed_password_settles_what_was_under_way(self, one_slot: KafkaCluster) -> None:
        """A commit with the former key whose reply is lost is found in Kafka after the change, and not repeated."""
        slots, keys = Slots(one_slot.settings), AccountKeys("alice", one_slot.password)
        publisher = slots.publisher(keys)
        await publisher.start()
        producer = next_producer(publisher)
        commit = producer.commit

        async def commit_and_lose_the_reply() -> None:
            await commit()
            await keys.change(SecretStr("another password"))
            publisher.sign_again()
            producer.committing = True
            raise KafkaConnectionError

        producer.commit = commit_and_lose_the_reply  # type: ignore[method-assign]
        await publisher.publish([record(b"1")], position(1))
        await publisher.publish([record(b"2")], position(2))
        await eventually(lambda: not publisher.keys_changed)
        assert values(await one_slot.published(), ACKNOWLEDGEMENTS) == [b"1", b"2"]
        await publisher.stop()
