"""Slots with several accounts keep their promises on a real Kafka: fencing, and the update from earlier versions."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from aiokafka.errors import ProducerFenced

from bridge.delivery import AccountKeys, Slots
from bridge.delivery.client.batches import Batch
from bridge.delivery.client.failures import fenced
from bridge.delivery.client.producer import Producer
from bridge.delivery.client.topics import earlier_transactional_id
from bridge.delivery.position.owner import owner_of
from bridge.delivery.position.reader import Reading
from bridge.delivery.position.stored import StoredPosition, encode, seal_position
from bridge.delivery.slots.commit import SlotProducers
from bridge.delivery.slots.kafka_publisher import KafkaPublisher
from bridge.delivery.slots.takeover import Takeover
from bridge.errors import Fenced
from bridge.settings import Delivery
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import ACKNOWLEDGEMENTS, DEAD_LETTERS, Published, numbered, position, record, values
from tests.behaviour.slots_on_kafka import ACCOUNTS, SlotBehaviour, committed_accounts, started
from tests.real import KafkaServer

OLD = b"0123456789abcdef"
BOTH_DELIVERIES = pytest.mark.parametrize("one_slot", list(Delivery), indirect=True)
RELEASED = (Path(__file__).parents[1] / "released" / "position-one-id-per-account.json").read_bytes()


@pytest_asyncio.fixture
async def one_slot(real_kafka: KafkaServer, request: pytest.FixtureRequest) -> AsyncIterator[KafkaCluster]:
    delivery = getattr(request, "param", Delivery.EXACTLY_ONCE)
    cluster = KafkaCluster(real_kafka.bootstrap, slots=1, delivery=delivery)
    cluster.refused = 2 << 20
    yield cluster
    await cluster.stop()
    await real_kafka.delete_topics(cluster.settings.topic_prefix)


class EarlierBridge:
    """An account's bridge of the version before slots: one transactional id, one producer, positions like today's."""

    def __init__(self, cluster: KafkaCluster, keys: AccountKeys) -> None:
        self.producer = Producer(cluster.settings, earlier_transactional_id(cluster.settings, keys.account))
        self._keys = keys
        self._prefix = cluster.settings.topic_prefix
        self.claim = StoredPosition(owner=OLD.decode(), turn=0, revision=5)

    async def start(self) -> None:
        await self._keys.start("position")
        await self.producer.start()

    async def publish(self, value: bytes, next_sequence: int, *, commit: bool = True) -> None:
        """Publish one event and the position in a transaction."""
        self.claim = msgspec.structs.replace(self.claim, turn=self.claim.turn + 1, revision=self.claim.revision + 1)
        stored = encode(seal_position(position(next_sequence), self._keys, self.claim))
        await self.producer.begin()
        sent = [
            *await self.producer.send(
                f"{self._prefix}.{ACKNOWLEDGEMENTS}", Batch(ACKNOWLEDGEMENTS, 0, [record(value)]), 0
            ),
            *await self.producer.send(
                f"{self._prefix}.bridge-state",
                Batch("bridge-state", 0, [record(stored, key=self._keys.account.encode())]),
                0,
            ),
        ]
        await asyncio.gather(*sent)
        if commit:
            await self.producer.commit()


@pytest_asyncio.fixture
async def earlier(one_slot: KafkaCluster) -> AsyncIterator[EarlierBridge]:
    """The account alice, as the version before slots has left it running."""
    await started(one_slot, "zoe")  # the topics are there
    await one_slot.stop()
    bridge = EarlierBridge(one_slot, AccountKeys("alice", one_slot.password))
    await bridge.start()
    await bridge.publish(b"1", 1)
    yield bridge
    await bridge.producer.discard()


async def acknowledgements(cluster: KafkaCluster) -> list[bytes]:
    published: list[Published] = await cluster.published()
    return values(published, ACKNOWLEDGEMENTS)


def producer_starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pair of ids of each start of a slot's producers from now on."""
    seen: list[int] = []
    start = SlotProducers.start

    async def watched(producers: SlotProducers, pair: int) -> None:
        seen.append(pair)
        await start(producers, pair)

    monkeypatch.setattr(SlotProducers, "start", watched)
    return seen


class TestSlotsOnRealKafka(SlotBehaviour):
    async def test_a_refused_record_costs_the_others_one_retry(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other accounts are committed by the next transaction, without the call whose record Kafka refuses."""
        publishers = await started(one_slot, *ACCOUNTS)
        seen = committed_accounts(monkeypatch)
        huge = [*numbered(0, 3), record(b"x" * one_slot.refused)]
        calls = [one.publish(huge if one.account == "bob" else [record(b"7")], position(1)) for one in publishers]
        await asyncio.gather(*calls)
        others = sorted(set(ACCOUNTS) - {"bob"})
        first, second, *rest = [sorted(names) for names in seen]
        assert [first, second] == [sorted(ACCOUNTS), others]
        assert all(names == ["bob"] for names in rest)
        published = await one_slot.published()
        assert len(values(published, ACKNOWLEDGEMENTS)) == 3 + 4
        assert len(values(published, DEAD_LETTERS)) == 1

    async def test_a_successor_fences_every_account_of_the_slot(self, one_slot: KafkaCluster) -> None:
        """A process that has the same accounts takes all of them: no call of the older process is committed."""
        older = await started(one_slot, *ACCOUNTS)
        await asyncio.gather(*(one.publish([record(b"1")], position(1)) for one in older))
        younger = await started(one_slot, *ACCOUNTS)
        ends = await asyncio.gather(
            *(one.publish([record(b"2")], position(2)) for one in older), return_exceptions=True
        )
        assert all(isinstance(end, Fenced) for end in ends)
        await asyncio.gather(*(one.publish([record(b"3")], position(3)) for one in younger))
        got = await acknowledgements(one_slot)
        assert [got.count(b"1"), got.count(b"2"), got.count(b"3")] == [len(ACCOUNTS), 0, len(ACCOUNTS)]

    async def test_a_successor_with_some_of_the_accounts(self, one_slot: KafkaCluster) -> None:
        """The older process loses the accounts that the younger one has, and publishes the others on."""
        alice, bob = await started(one_slot, "alice", "bob")
        [successor] = await started(one_slot, "alice")
        ends = await asyncio.gather(
            alice.publish([record(b"1")], position(1)), bob.publish([record(b"2")], position(1)), return_exceptions=True
        )
        assert isinstance(ends[0], Fenced)
        assert ends[1] is None
        await successor.publish([record(b"3")], position(2))
        assert sorted(await acknowledgements(one_slot)) == [b"2", b"3"]

    async def test_a_successor_with_some_of_the_accounts_does_not_fight(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The older process leaves the transactional ids to the younger one: neither is fenced again."""
        _, bob = await started(one_slot, "alice", "bob")
        [alice] = await started(one_slot, "alice")
        await bob.publish([record(b"0")], position(1))
        starts = producer_starts(monkeypatch)
        for turn in range(2, 12):
            await asyncio.gather(*(one.publish([record(b"%d" % turn)], position(turn)) for one in (alice, bob)))
        assert starts == []
        assert len(await acknowledgements(one_slot)) == 21

    async def test_bridges_with_different_accounts_share_a_slot(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bridges that have an account each go on side by side, each under its own ids, also after a restart."""
        bridges = [(await started(one_slot, name))[0] for name in ("alice", "bob", "carol")]
        for turn in range(1, 4):
            await asyncio.gather(*(one.publish([record(b"%d" % turn)], position(turn)) for one in bridges))
        starts = producer_starts(monkeypatch)
        for turn in range(4, 7):
            await asyncio.gather(*(one.publish([record(b"%d" % turn)], position(turn)) for one in bridges))
        assert starts == []
        await bridges[0].stop()
        [again] = one_slot.process("alice")
        found = await again.start()
        assert found is not None
        assert found.next_sequence == 6
        bridges[0] = again
        for turn in range(7, 10):
            await asyncio.gather(*(one.publish([record(b"%d" % turn)], position(turn)) for one in bridges))
        assert len(starts) == 1, "the restart has fenced another bridge"
        got = await acknowledgements(one_slot)
        assert sorted(got) == sorted(b"%d" % turn for turn in range(1, 10) for _ in bridges)

    async def test_a_call_in_hand_when_the_ids_change_is_published_once(self, one_slot: KafkaCluster) -> None:
        """The call that is fenced goes out under the next ids, and its position tells that pair of ids."""
        [alice] = await started(one_slot, "alice")
        await started(one_slot, "bob")
        await alice.publish([record(b"1")], position(1))
        owner = owner_of(msgspec.json.decode(await one_slot.newest_position("alice"))["owner"])
        assert owner is not None
        assert owner.pair == 1
        assert await acknowledgements(one_slot) == [b"1"]

    async def test_an_account_under_other_ids_is_taken_over(self, one_slot: KafkaCluster) -> None:
        """A process that uses another pair of ids fences the pair that the account was published with."""
        _, bob = await started(one_slot, "alice", "bob")
        await started(one_slot, "alice")
        await bob.publish([record(b"1")], position(1))  # under the second pair of ids
        alice, successor = one_slot.process("alice", "bob")  # under the first one, for alice's sake
        _, found = await asyncio.gather(alice.start(), successor.start())
        assert found is not None
        assert found.next_sequence == 1
        with pytest.raises(Fenced):
            await bob.publish([record(b"2")], position(2))
        await successor.publish([record(b"3")], position(2))
        assert await acknowledgements(one_slot) == [b"1", b"3"]

    async def test_a_claim_under_other_ids_between_reading_and_claim_is_noticed(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two processes that take one account over at the same time, under different ids, one goes on alone."""
        [alice] = await started(one_slot, "alice")
        await started(one_slot, "bob")
        await alice.publish([], position(1))  # under the second pair of ids
        carol, _ = one_slot.process("carol", "bob")  # under the first one, for bob's sake
        read, others = Takeover.read, list[KafkaPublisher]()

        async def read_and_be_overtaken(takeover: Takeover) -> Reading:
            reading = await read(takeover)
            if not others:
                others.extend(one_slot.process("carol", "alice"))  # under the second one, for alice's sake
                await others[0].start()
                await others[0].publish([record(b"1")], position(7))
            return reading

        monkeypatch.setattr(Takeover, "read", read_and_be_overtaken)
        found = await carol.start()
        assert found is not None
        assert found.next_sequence == 7
        with pytest.raises(Fenced):
            await others[0].publish([record(b"2")], position(8))
        await carol.publish([record(b"3")], position(8))
        assert await acknowledgements(one_slot) == [b"1", b"3"]

    @BOTH_DELIVERIES
    async def test_a_takeover_that_hangs_leaves_the_account_to_the_next_one(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that hung in its takeover doesn't take the account from the process that took it over meanwhile."""
        [first] = await started(one_slot, "alice")
        await first.publish([record(b"1")], position(1))
        [late] = one_slot.process("alice")
        start, hangs, wakes = SlotProducers.start, asyncio.Event(), asyncio.Event()

        async def start_and_hang(producers: SlotProducers, pair: int) -> None:
            await start(producers, pair)
            if not hangs.is_set():
                hangs.set()
                await wakes.wait()

        monkeypatch.setattr(SlotProducers, "start", start_and_hang)
        starting = asyncio.create_task(late.start())
        await hangs.wait()
        [successor] = await started(one_slot, "alice")
        await successor.publish([record(b"2")], position(2))
        wakes.set()
        with pytest.raises(Fenced):
            await starting
        await successor.publish([record(b"3")], position(3))
        assert await acknowledgements(one_slot) == [b"1", b"2", b"3"]

    @BOTH_DELIVERIES
    async def test_a_later_account_whose_takeover_hangs_is_left_to_the_next_process(
        self, one_slot: KafkaCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """This also holds for an account that comes to a slot which already publishes. Its other accounts go on."""
        [first] = await started(one_slot, "alice")
        await first.publish([record(b"1")], position(1))
        slots = Slots(one_slot.settings)
        bob = slots.publisher(AccountKeys("bob", one_slot.password))
        await bob.start()
        read, hangs, wakes = Takeover.read, asyncio.Event(), asyncio.Event()

        async def read_and_hang(takeover: Takeover) -> Reading:
            reading = await read(takeover)
            if not hangs.is_set():
                hangs.set()
                await wakes.wait()
            return reading

        monkeypatch.setattr(Takeover, "read", read_and_hang)
        late = slots.publisher(AccountKeys("alice", one_slot.password))
        starting = asyncio.create_task(late.start())
        await hangs.wait()
        [successor] = await started(one_slot, "alice")
        await successor.publish([record(b"2")], position(2))
        wakes.set()
        with pytest.raises(Fenced):
            await starting
        await bob.publish([record(b"3")], position(1))
        await successor.publish([record(b"4")], position(3))
        assert await acknowledgements(one_slot) == [b"1", b"2", b"3", b"4"]
        await asyncio.gather(late.stop(), bob.stop())

    async def test_an_account_returns_after_another_process_had_it(self, one_slot: KafkaCluster) -> None:
        """A process that relayed the account while it was away has not overtaken the takeover at its return."""
        slots, keys = Slots(one_slot.settings), AccountKeys("alice", one_slot.password)
        first = slots.publisher(keys)
        await first.start()
        await first.publish([record(b"1")], position(1))
        await first.stop()
        [meanwhile] = await started(one_slot, "alice")
        await meanwhile.publish([record(b"2")], position(2))
        again = slots.publisher(keys)
        found = await again.start()
        assert found is not None
        assert found.next_sequence == 2
        await again.stop()

    async def test_an_update_goes_on_where_the_earlier_version_was(
        self, one_slot: KafkaCluster, earlier: EarlierBridge
    ) -> None:
        """The position is taken over, and the earlier version can commit nothing any more."""
        [publisher] = one_slot.process("alice")
        found = await publisher.start()
        assert found is not None
        assert (found.client_id, found.next_sequence) == ("client", 1)
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- the producer wraps it
            await earlier.publish(b"2", 2)
        assert fenced(caught.value) or isinstance(caught.value, ProducerFenced)
        await publisher.publish([record(b"3")], position(2))
        assert sorted(await acknowledgements(one_slot)) == [b"1", b"3"]

    async def test_an_update_settles_what_the_earlier_version_has_open(
        self, one_slot: KafkaCluster, earlier: EarlierBridge
    ) -> None:
        """A transaction that a killed process of the earlier version left open is aborted, and nobody waits for it."""
        await earlier.publish(b"2", 2, commit=False)
        [publisher] = one_slot.process("alice")
        async with asyncio.timeout(10):
            found = await publisher.start()
        assert found is not None
        assert found.next_sequence == 1
        await publisher.publish([record(b"3")], position(2))
        assert sorted(await acknowledgements(one_slot)) == [b"1", b"3"]

    async def test_an_earlier_version_that_takes_the_account_back_is_noticed(
        self, one_slot: KafkaCluster, earlier: EarlierBridge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the earlier version commits between the reading and the claim is not published a second time."""
        read, back = Takeover.read, EarlierBridge(one_slot, AccountKeys("alice", one_slot.password))
        back.claim = earlier.claim

        async def read_and_be_overtaken(takeover: Takeover) -> object:
            reading = await read(takeover)
            if back.claim.turn == earlier.claim.turn:
                await back.start()
                await back.publish(b"2", 2)
            return reading

        monkeypatch.setattr(Takeover, "read", read_and_be_overtaken)
        [publisher] = one_slot.process("alice")
        found = await publisher.start()
        await back.producer.discard()
        assert found is not None
        assert found.next_sequence == 2

    async def test_a_rollback_is_noticed(self, one_slot: KafkaCluster, earlier: EarlierBridge) -> None:
        """A process of the earlier version that claims the account again fences this one, as far as Kafka tells."""
        [publisher] = one_slot.process("alice")
        await publisher.start()
        newest = await one_slot.newest_position("alice")
        revision = msgspec.json.decode(newest)["revision"]
        back = EarlierBridge(one_slot, AccountKeys("alice", one_slot.password))
        back.claim = msgspec.structs.replace(earlier.claim, owner="fedcba9876543210", turn=0, revision=revision)
        await back.start()
        await back.publish(b"9", 9)
        with pytest.raises(Fenced):
            await publisher.confirm()
        await back.producer.discard()

    async def test_the_released_position_is_taken_over(self, one_slot: KafkaCluster) -> None:
        """A position that the version with one id per account wrote opens, and the next one is a slot's."""
        await started(one_slot, "zoe")
        await one_slot.put_position("alice", RELEASED)
        found = await one_slot.publisher("alice").start()
        assert found is not None
        assert (found.client_id, found.acknowledgement, found.next_sequence) == ("the-client", 7, 120)
        claimed = msgspec.json.decode(await one_slot.newest_position("alice"))
        assert claimed["revision"] == 5
        assert owner_of(claimed["owner"]) is not None
