"""The keys of an account, and the sealed and signed position."""

import asyncio
import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.delivery import AccountKeys, Position, Unsealable
from bridge.delivery.position.earlier_seal import SALT_BYTES
from bridge.delivery.position.keys import EARLIER_SALTS, FORMER_AGE, NONCE_BYTES, Purpose
from bridge.delivery.position.stored import (
    StoredPosition,
    Unreadable,
    decode,
    encode,
    open_position,
    seal_position,
    verify,
)

POSITION = Position("the-client", {"JSESSIONID": "the-cookie"}, 7, 100, 120, 1_700_000_000.25)
CLAIM = StoredPosition(owner="o", turn=3, revision=9)
PURPOSES: tuple[Purpose, ...] = ("position", "ledger")
RELEASED = Path(__file__).parents[1] / "released"


async def account_keys(password: str = "secret", account: str = "alice", context: str = "gws") -> AccountKeys:
    keys = AccountKeys(account, SecretStr(password), context)
    for purpose in PURPOSES:
        await keys.start(purpose)
    return keys


def released(name: str) -> bytes:
    """What version 0.1.0 wrote for the account `alice` with the password `secret`."""
    return (RELEASED / name).read_bytes()


async def genuine(stored: StoredPosition, keys: AccountKeys) -> bool:
    try:
        await verify(stored, keys)
    except Unsealable:
        return False
    return True


async def test_a_stored_position_comes_back_whole() -> None:
    """Sealed, encoded, decoded and opened by another process with the same password, a position is what it was."""
    stored = decode(encode(seal_position(POSITION, await account_keys(), CLAIM)))
    successor = await account_keys()
    await verify(stored, successor)
    assert await open_position(stored, successor) == POSITION
    assert (stored.owner, stored.turn, stored.revision) == ("o", 3, 9)


@settings(deadline=None)
@given(
    cookies=st.dictionaries(st.text(st.characters()), st.text(st.characters())),
    acknowledgement=st.none() | st.integers(-(10**300), 10**300),
)
def test_whatever_upstream_sends_is_written_and_read(cookies: dict[str, str], acknowledgement: int | None) -> None:
    """No cookie and no number of the CometD server makes a position that can't be written, or not be read again."""
    position = msgspec.structs.replace(POSITION, cookies=cookies, acknowledgement=acknowledgement)
    keys = asyncio.run(shared())
    stored = decode(encode(seal_position(position, keys, CLAIM)))
    assert asyncio.run(open_position(stored, keys)).acknowledgement == acknowledgement


async def test_a_cookie_that_is_no_text_is_left_out() -> None:
    """A cookie with bytes that are not UTF-8 does not keep the others from being stored."""
    keys = await account_keys()
    odd = msgspec.structs.replace(POSITION, cookies={"odd": "\udcff", "even": "a"})
    assert (await open_position(seal_position(odd, keys, CLAIM), keys)).cookies == {"even": "a"}


async def test_a_loss_at_an_unknown_time_is_kept() -> None:
    """That an earlier session was lost, and nobody knows when, is told to the successor as well."""
    keys, lost = await account_keys(), Position("", {}, None, 0, 0, None)
    stored = decode(encode(seal_position(lost, keys, CLAIM)))
    assert await open_position(stored, keys) == lost


@pytest.mark.parametrize(
    ("password", "account", "context"), [("other", "alice", "gws"), ("secret", "bob", "gws"), ("secret", "alice", "x")]
)
async def test_only_the_accounts_own_password_opens(password: str, account: str, context: str) -> None:
    """Another password, another account or another topic prefix neither verifies nor opens anything."""
    own, other = await account_keys(), await account_keys(password, account, context)
    assert not await genuine(seal_position(POSITION, own, CLAIM), other)
    assert not other.verify("ledger", own.sign("ledger", b"a"), b"a")
    with pytest.raises(Unsealable):
        other.open("request", own.seal("request", b"a"))


@pytest.mark.parametrize("field", [name for name in StoredPosition.__struct_fields__ if name != "version"])
async def test_no_field_can_be_changed(field: str) -> None:
    """Each field is signed, the owner and the turn too: a foreign hand can't make up a claim, nor a commit."""
    keys = await account_keys()
    stored = seal_position(POSITION, keys, CLAIM)
    value = getattr(stored, field)
    changed = {0: 5} if isinstance(value, dict) else value + type(value)(b"x" if isinstance(value, bytes) else 1)
    if isinstance(value, str):
        changed = value + "x"
    assert not await genuine(msgspec.structs.replace(stored, **{field: changed}), keys)


async def test_keys_of_one_purpose_are_of_no_use_for_another() -> None:
    """What was sealed or signed as a position is no request and no event of the ledger, whatever surrounds it."""
    keys = await account_keys()
    sealed = seal_position(POSITION, keys, CLAIM).secret
    for subject in (b"", b"1", b"alice"):
        with pytest.raises(Unsealable):
            keys.open("request", sealed, subject)
    assert not keys.verify("ledger", keys.sign("position", b"a"), b"a")


async def test_an_unchanged_secret_is_encrypted_once() -> None:
    """While the session's secret stays the same, its encryption is the same; every other secret has its own nonce."""
    keys = await account_keys()
    renewed = msgspec.structs.replace(POSITION, cookies={**POSITION.cookies, "JSESSIONID": "renewed"})
    moved = msgspec.structs.replace(POSITION, next_sequence=POSITION.next_sequence + 1)
    first, second, third, fourth = (seal_position(one, keys, CLAIM) for one in (POSITION, moved, renewed, POSITION))
    assert first.secret == second.secret
    assert len({one.secret[: SALT_BYTES + NONCE_BYTES] for one in (first, third, fourth)}) == 3
    for stored, position in ((first, POSITION), (second, moved), (third, renewed), (fourth, POSITION)):
        await verify(stored, keys)
        assert await open_position(stored, keys) == position


async def test_a_sealed_text_belongs_to_its_subject() -> None:
    """A request that was sealed under one referenceId can't be moved to another one; nor parts of what is signed."""
    keys = await account_keys()
    sealed = keys.seal("request", b"{}", b"1")
    assert keys.open("request", sealed, b"1") == b"{}"
    with pytest.raises(Unsealable):
        keys.open("request", sealed, b"2")
    assert not keys.verify("ledger", keys.sign("ledger", b"ab", b"c"), b"a", b"bc")


@settings(deadline=None)
@given(damage=st.binary(max_size=80))
async def test_damage_is_not_opened(damage: bytes) -> None:
    """No bytes but those that were sealed are opened, and none raise anything else."""
    with pytest.raises(Unsealable):
        (await shared()).open("position", damage)


async def test_an_update_goes_on_with_the_session() -> None:
    """A position that version 0.1.0 wrote is verified and opened whole."""
    keys, stored = await account_keys(), decode(released("position-0.1.0.json"))
    await verify(stored, keys)
    found = await open_position(stored, keys)
    assert (found.client_id, found.cookies["JSESSIONID"]) == ("the-client", "the-cookie")
    assert (found.acknowledgement, found.base_sequence, found.next_sequence) == (7, 100, 120)


@pytest.mark.parametrize("field", ["acknowledgement", "baseSequence", "nextSequence", "lastReplyAt"])
async def test_no_number_of_an_earlier_position_can_be_changed(field: str) -> None:
    """The numbers of version 0.1.0 were signed too, and still are verified."""
    forged = json.loads(released("position-0.1.0.json"))
    forged[field] += 1 if field != "baseSequence" else -1
    assert not await genuine(decode(json.dumps(forged).encode()), await account_keys())


async def test_a_position_from_before_the_light_key_is_opened() -> None:
    """A position that was written before positions had a light key is gone on with, and can't be changed either."""
    keys, stored = await account_keys(context=""), decode(released("position-one-id-per-account.json"))
    await verify(stored, keys)
    found = await open_position(stored, keys)
    assert (found.client_id, found.acknowledgement, found.next_sequence) == ("the-client", 7, 120)
    assert not await genuine(msgspec.structs.replace(stored, next_sequence=121), keys)
    assert not await genuine(msgspec.structs.replace(stored, key="light"), keys)


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The memory of each derivation of a key since the start of the test, in MiB."""
    found: list[int] = []

    def counted(**parameters: Any) -> Scrypt:
        found.append(128 * parameters["n"] * parameters["r"] >> 20)
        return Scrypt(**parameters)

    monkeypatch.setattr("bridge.delivery.position.keys.Scrypt", counted)
    return found


async def test_an_account_is_taken_over_without_the_costly_key(costs: list[int]) -> None:
    """To write and read positions takes one derivation of 4 MiB; that of 32 MiB is left to the first operation."""
    keys = AccountKeys("alice", SecretStr("secret"))
    await keys.start("position")
    stored = decode(encode(seal_position(POSITION, keys, CLAIM)))
    await verify(stored, keys)
    assert await open_position(stored, keys) == POSITION
    assert costs == [4]
    await keys.start("ledger")
    assert costs == [4, 32]


async def test_earlier_processes_read_who_has_claimed() -> None:
    """A process of version 0.1.0 can decode a claim of this one, so that it leaves when it is updated."""
    claim = json.loads(encode(seal_position(POSITION, await account_keys(), CLAIM)))
    before = json.loads(released("position-0.1.0.json"))
    assert claim["version"] == before["version"]
    assert {name: type(claim[name]) for name in before} == {name: type(value) for name, value in before.items()}


async def test_salts_of_foreign_hands_cost_little(costs: list[int]) -> None:
    """Of many salts that records name only a few are tried, each once, and known ones still count afterwards."""
    keys, stored = await account_keys(), decode(released("position-0.1.0.json"))
    costs.clear()
    await verify(stored, keys)
    forged = [msgspec.structs.replace(stored, salt=bytes([n]) * 16) for n in range(100)]
    async with asyncio.timeout(30):
        assert not any([await genuine(one, keys) for one in [*forged, *forged]])
    assert await genuine(stored, keys)
    assert len(costs) == EARLIER_SALTS


class WaitingScrypt:
    """A derivation that ends once the event loop has turned."""

    turned = threading.Event()

    def __init__(self, **_: object) -> None:
        self.turned.clear()
        asyncio.get_running_loop().call_soon(self.turned.set)

    def derive(self, _: bytes) -> bytes:
        assert self.turned.wait(5), "the event loop stands still"
        return bytes(64)


async def test_no_key_is_derived_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the start nor a salt that a record names holds up anything else in the process."""
    monkeypatch.setattr("bridge.delivery.position.keys.Scrypt", WaitingScrypt)
    keys = await account_keys()
    await keys.earlier(b"x" * 16)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'{"owner": "o"}',
        b'{"version": 2, "owner": "o", "turn": 1}',
        b'{"version": 1%s, "owner": "o", "turn": 1}' % (b"0" * 400),
        b'{"owner": "\xff", "turn": 1}',
        b'{"owner": "o", "turn": 1, "lastReplyAt": 1e308}',
        b'{"owner": "o", "turn": 1, "lastReplyAt": 1e999}',
        b'{"owner": "o", "turn": 1, "lastReplyAt": -1}',
        b'{"owner": "o", "turn": 1, "lastReplyAt": NaN}',
        b'{"owner": "o", "turn": -1}',
        b'{"owner": "o", "turn": 1, "salt": "a"}',
        b'{"owner": "o", "turn": 1, "secret": "!!!!"}',
        b'{"owner": "o", "turn": 1, "baseSequence": 2, "nextSequence": 1}',
        b'{"owner": "o", "turn": 1, "x": ' + b"[" * 100_000,
        b'{"owner": "o", "turn": 1, "unsignedBefore": {"a": 1}}',
        b" " * (5 << 20),
    ],
)
def test_what_is_no_position_is_unreadable(value: bytes | None) -> None:
    """Damage, impossible numbers and a newer version are told apart from a position."""
    with pytest.raises(Unreadable):
        decode(value)


@given(
    value=st.binary(max_size=300) | st.recursive(st.none() | st.text(), st.lists).map(lambda one: repr(one).encode())
)
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    """Whatever lies on the topic is decoded, or is unreadable."""
    with suppress(Unreadable):
        decode(value)


_shared: list[AccountKeys] = []


async def shared() -> AccountKeys:
    """The same keys for each example: they cost 0.1 s."""
    if not _shared:
        _shared.append(await account_keys())
    return _shared[0]


async def test_a_changed_password_leaves_earlier_data_valid() -> None:
    """After a change the process reads what the former password has signed and sealed, and writes with the new one."""
    keys, successor = await account_keys("before"), await account_keys("after")
    stored = seal_position(POSITION, keys, CLAIM)
    sealed, signature = keys.seal("ledger", b"plain"), keys.sign("ledger", b"content")
    await keys.change(SecretStr("after"))
    await verify(stored, keys)
    assert await open_position(stored, keys) == POSITION
    assert keys.open("ledger", sealed) == b"plain"
    assert keys.verify("ledger", signature, b"content")
    assert not await genuine(stored, successor)
    again = seal_position(POSITION, keys, CLAIM)
    await verify(again, successor)
    assert await open_position(again, successor) == POSITION
    assert successor.verify("ledger", keys.sign("ledger", b"content"), b"content")


async def test_the_former_password_ends() -> None:
    """An hour after the change, data with the keys of the former password is no longer valid."""
    now = 0.0
    keys = AccountKeys("alice", SecretStr("before"), clock=lambda: now)
    await keys.start("position")
    stored = seal_position(POSITION, keys, CLAIM)
    await keys.change(SecretStr("after"))
    now = FORMER_AGE - 1
    assert await genuine(stored, keys)
    now = FORMER_AGE
    assert not await genuine(stored, keys)


async def test_a_key_that_starts_after_the_change_reads_both() -> None:
    """A purpose whose key nobody needed before the change gets the keys of both passwords when it starts."""
    before = await account_keys("before")
    keys = AccountKeys("alice", SecretStr("before"), "gws")
    await keys.change(SecretStr("after"))
    await keys.start("ledger")
    assert keys.verify("ledger", before.sign("ledger", b"content"), b"content")
    assert keys.verify("ledger", (await account_keys("after")).sign("ledger", b"content"), b"content")
