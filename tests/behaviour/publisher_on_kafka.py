"""What the Kafka publisher promises besides, on any broker."""

import asyncio
import base64
import hmac
import json
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import REGISTRY
from pydantic import SecretStr

from bridge.delivery import LOST, AccountKeys, KafkaLedger, UnsignedEvents, position_topic, read
from bridge.delivery.client.producer import BatchRefused, Producer
from bridge.delivery.position.stored import StoredPosition, _signed_earlier
from bridge.delivery.slots.commit import SlotProducers
from bridge.delivery.slots.kafka_publisher import KafkaPublisher
from bridge.delivery.slots.transaction import Transaction
from bridge.settings import Delivery
from tests.behaviour.kafka_cluster import KafkaCluster
from tests.behaviour.publisher import ACKNOWLEDGEMENTS, numbered, position, record, values

LEDGER = "operations.v1"
RELEASED_POSITION = (Path(__file__).parents[1] / "released" / "position-0.1.0.json").read_bytes()
NO_POSITIONS = [
    pytest.param(b"{", id="damaged"),
    pytest.param(b'{"owner": "\xff", "turn": 0}', id="not-utf-8"),
    pytest.param(b'{"owner": "o", "turn": 0, "x": ' + b"[" * 100_000, id="nested"),
    pytest.param(b" " * 900_000, id="blanks"),
    pytest.param(b'{"version": 1%s, "owner": "o", "turn": 0}' % (b"0" * 400), id="version"),
    pytest.param(None, id="tombstone"),
]
FORGERIES = [
    pytest.param(b'{"owner": "", "turn": 0}', id="nothing"),
    pytest.param(b'{"owner": "foreign", "turn": 0, "revision": 9}', id="claim"),
    pytest.param(b'{"owner": "", "turn": 0, "lastReplyAt": 1700000000, "signature": "AAAA"}', id="signature"),
    pytest.param(RELEASED_POSITION.replace(b":120,", b":121,"), id="earlier-numbers"),
    pytest.param(RELEASED_POSITION.replace(b'"turn":3', b'"turn":3,"revision":99'), id="earlier-revision"),
]


class KafkaPublisherBehaviour:
    async def test_another_password_finds_no_session(self, cluster: KafkaCluster) -> None:
        """With a changed password there is no session to resume, and no number of the position counts any more."""
        first = cluster.publisher(password="old")
        await first.start()
        await first.publish([], position(1))
        second, last = cluster.publisher(password="new"), position(2)
        assert await second.start() == LOST
        await second.publish([], last)
        assert await cluster.publisher(password="new").start() == last

    @pytest.mark.parametrize("foreign", [*NO_POSITIONS, *FORGERIES])
    async def test_foreign_records_change_nothing(self, cluster: KafkaCluster, foreign: bytes | None) -> None:
        """Behind records that no bridge has written the position is found whole; a running bridge does not leave."""
        publisher, last = cluster.publisher(), position(1)
        await publisher.start()
        await publisher.publish([], last)
        for _ in range(3):
            await cluster.put_position("alice", foreign)
        await publisher.confirm()
        passed_over = [records_passed_over(cluster)]
        assert await cluster.publisher().start() == last
        passed_over.append(records_passed_over(cluster))
        assert passed_over[0] < passed_over[1]

    @pytest.mark.parametrize("foreign", [*NO_POSITIONS, *FORGERIES])
    async def test_a_loss_is_told_where_nothing_genuine_is_left(
        self, cluster: KafkaCluster, foreign: bytes | None
    ) -> None:
        """Where only foreign records are left a session was lost, nobody knows when; a start alone does not tell it."""
        await cluster.publisher("bob").start()  # the topic is there
        await cluster.put_position("alice", foreign)
        for _ in range(2):
            assert await cluster.publisher().start() == LOST
        publisher, last = cluster.publisher(), position(1)
        assert await publisher.start() == LOST
        await publisher.publish([], last)
        assert await cluster.publisher().start() == last

    async def test_an_old_position_put_there_again_changes_nothing(self, cluster: KafkaCluster) -> None:
        """Of genuine records the last written one counts, wherever it lies: no event is sent or skipped twice."""
        publisher, last = cluster.publisher(), position(7)
        await publisher.start()
        await publisher.publish([], position(1))
        old = await cluster.newest_position("alice")
        await publisher.publish([], last)
        await cluster.put_position("alice", old)
        await publisher.confirm()
        assert await cluster.publisher().start() == last

    async def test_a_forged_commit_is_none(self, cluster: KafkaCluster) -> None:
        """A record that says that the call in hand was committed is not believed: its records are published."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.publish([], position(1))
        forged = json.loads(await cluster.newest_position("alice"))
        await cluster.put_position("alice", json.dumps(forged | {"turn": 2, "revision": 99}).encode())
        producer = next_producer(publisher)

        async def fail() -> None:
            raise KafkaConnectionError

        producer.commit = fail  # type: ignore[method-assign]
        await publisher.publish([record(b"1")], position(2))
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"1"]

    async def test_an_update_from_the_released_version(self, cluster: KafkaCluster) -> None:
        """A position that version 0.1.0 wrote is gone on with, and the next one has this version's signature."""
        await cluster.publisher("bob").start()
        await cluster.put_position("alice", RELEASED_POSITION)
        found = await cluster.publisher().start()
        assert found is not None
        assert (found.client_id, found.acknowledgement, found.next_sequence) == ("the-client", 7, 120)
        claimed = json.loads(await cluster.newest_position("alice"))
        assert claimed["revision"] == 1
        await cluster.put_position("alice", RELEASED_POSITION)
        publisher = cluster.publisher()
        assert await publisher.start() == found
        await publisher.confirm()

    async def test_the_update_tells_where_unsigned_events_end(self, cluster: KafkaCluster) -> None:
        """What lies on the ledger at the first start after the update needs no signature; what comes later does."""
        ledger = KafkaLedger(cluster.settings, LEDGER)
        await cluster.publisher("bob").start()
        await cluster.put_position("alice", await earlier_position("alice", time.time()))
        await ledger.append([record(b"{}", key=b"1", topic=LEDGER)])
        [before] = await ledger_places(cluster)
        for start in range(2):  # the second one finds the end in the position
            unsigned = UnsignedEvents(age=60)
            await cluster.publisher(unsigned=unsigned).start()
            assert await unsigned.cover(*before)
            if not start:
                await ledger.append([record(b"{}", key=b"1", topic=LEDGER)])
            [*_, after] = await ledger_places(cluster)
            assert not await unsigned.cover(*after)
        late = UnsignedEvents(age=60, clock=lambda: time.time() + 61)
        await cluster.publisher(unsigned=late).start()
        assert not await late.cover(*before)
        await ledger.stop()

    @pytest.mark.parametrize("found", [None, b"{}", RELEASED_POSITION])
    async def test_no_update_honours_no_unsigned_event(self, cluster: KafkaCluster, found: bytes | None) -> None:
        """Where no bridge of version 0.1.0 has run just before, each event on the ledger needs a signature."""
        await cluster.publisher("bob").start()
        if found is not None:
            await cluster.put_position("alice", found)
        ledger, unsigned = KafkaLedger(cluster.settings, LEDGER), UnsignedEvents(age=60)
        await ledger.append([record(b"{}", key=b"1", topic=LEDGER)])
        await ledger.stop()
        await cluster.publisher(unsigned=unsigned).start()
        [place] = await ledger_places(cluster)
        assert not await unsigned.cover(*place)

    async def test_a_refused_claim_is_tried_again(self, cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where Kafka refuses the claim the start waits and says why, like for every other trouble."""
        publisher, transaction, attempts = cluster.publisher(), SlotProducers.commit, list[str | None]()

        async def refuse_twice(producers: SlotProducers, attempt: Transaction) -> int:
            attempts.append(publisher.state.reason)
            if len(attempts) < 3:
                raise BatchRefused({attempt.positions()[0]: "too-large"})
            return await transaction(producers, attempt)

        monkeypatch.setattr(SlotProducers, "commit", refuse_twice)
        async with asyncio.timeout(20):
            await publisher.start()
        assert attempts[1:] == ["kafka refuses a record of bridge-state: too-large"] * 2
        assert publisher.state.connected

    async def test_a_position_deep_in_the_topic_is_found(self, cluster: KafkaCluster) -> None:
        """An account's position is found behind more than one look's worth of another's in the same partition."""
        quiet, busy, last = cluster.publisher("quiet"), cluster.publisher("busy"), position(1)
        await quiet.start()
        await quiet.publish([], last)
        await busy.start()
        for n in range(40):
            await busy.publish([], position(n))
        assert await cluster.publisher("quiet").start() == last

    async def test_a_commit_whose_reply_is_lost_is_not_repeated(self, cluster: KafkaCluster) -> None:
        """When the transaction was committed but its reply never came, nothing is published again.

        The position is the same as before the call, so that only the number of the call can tell.
        """
        publisher, same = cluster.publisher(), position(1)
        await publisher.start()
        await publisher.publish([], same)
        producer = next_producer(publisher)
        commit = producer.commit

        async def commit_and_lose_the_reply() -> None:
            await commit()
            producer.committing = True
            raise KafkaConnectionError

        producer.commit = commit_and_lose_the_reply  # type: ignore[method-assign]
        await publisher.publish([record(b"1")], same)
        assert producer not in publisher._slot._producers._producers  # type: ignore[union-attr]
        await publisher.publish([record(b"2")], same)
        assert values(await cluster.published(), ACKNOWLEDGEMENTS) == [b"1", b"2"]

    async def test_a_cancelled_publish_leaves_a_usable_publisher(self, cluster: KafkaCluster) -> None:
        """A publish() that is cancelled in the middle neither blocks the next one nor stop()."""
        publisher = cluster.publisher()
        await publisher.start()
        publishing = asyncio.ensure_future(publisher.publish(numbered(0, 500), position(1)))
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        await publisher.publish([record(b"after")], position(2))
        assert values(await cluster.published(), ACKNOWLEDGEMENTS).count(b"after") == 1

    async def test_at_least_once_publishes_all(self, cluster: KafkaCluster) -> None:
        """Without transactions records and position arrive just the same."""
        publisher, last = cluster.publisher(delivery=Delivery.AT_LEAST_ONCE), position(5)
        await publisher.start()
        await publisher.publish(numbered(0, 100), last)
        assert len(set(values(await cluster.published(), ACKNOWLEDGEMENTS))) == 100
        await publisher.stop()
        assert await cluster.publisher().start() == last

    async def test_the_topic_gives_no_secret_away(self, cluster: KafkaCluster) -> None:
        """Neither the clientId nor a cookie can be read from the position topic."""
        publisher = cluster.publisher()
        await publisher.start()
        await publisher.publish([], position(1, client_id="the-client-id"))
        value = await cluster.newest_position("alice")
        assert b"nextSequence" in value
        assert b"the-client-id" not in value
        assert b"JSESSIONID" not in value

    async def test_no_task_is_left_behind(self, cluster: KafkaCluster) -> None:
        """After stop() nothing of the producer runs on, even when it was stopped in mid-transaction."""
        before = asyncio.all_tasks()
        publisher = cluster.publisher()
        await publisher.start()
        producer = next_producer(publisher)
        await producer.begin()
        await publisher.stop()
        assert asyncio.all_tasks() <= before


def next_producer(publisher: KafkaPublisher) -> Producer:
    """The producer of the publisher's next transaction."""
    assert publisher._slot is not None
    return publisher._slot._producers._producers[0]


async def earlier_position(account: str, last_reply_at: float) -> bytes:
    """A position as version 0.1.0 wrote it, with no session."""
    salt = b"0" * 16
    seal = await AccountKeys(account, SecretStr("secret")).earlier(salt)
    stored = StoredPosition(owner="0123456789abcdef", turn=1, salt=salt, last_reply_at=last_reply_at)
    signature = hmac.digest(seal._signing_key, account.encode() + b"\0" + _signed_earlier(stored), "sha256")
    return json.dumps(
        json.loads(_signed_earlier(stored)) | {"signature": base64.b64encode(signature).decode()}
    ).encode()


async def ledger_places(cluster: KafkaCluster) -> list[tuple[int, int]]:
    """Partition and offset of each record on the ledger."""
    topic = f"{cluster.settings.topic_prefix}.{LEDGER}"
    async with aclosing(read(cluster.settings, [topic], from_beginning=True, until_end=True)) as records:
        return [(one.partition, one.offset) async for one in records]


def records_passed_over(cluster: KafkaCluster) -> float:
    """How many records on the position topic have been counted as not understood, or not trusted."""
    names = ("bridge_records_unreadable_total", "bridge_records_untrusted_total")
    labels = {"topic": position_topic(cluster.settings)}
    return sum(REGISTRY.get_sample_value(name, labels) or 0 for name in names)
