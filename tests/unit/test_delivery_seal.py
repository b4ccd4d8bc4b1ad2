"""The sealed part of a position."""

import msgspec
import pytest
from pydantic import SecretStr

from bridge.delivery.position import Position
from bridge.delivery.seal import Seal, Unsealable, derive
from bridge.delivery.stored_position import Unreadable, decode, encode, open_position, seal_position

POSITION = Position("the-client", {"JSESSIONID": "the-cookie"}, 7, 100, 120, 1_700_000_000.25)


async def seal(password: str = "secret", account: str = "alice", salt: bytes | None = None) -> Seal:
    return await derive(SecretStr(password), account, salt)


async def test_a_stored_position_comes_back_whole() -> None:
    """Sealed, encoded, decoded and opened with the same password and salt, a position is what it was."""
    first = await seal()
    stored = decode(encode(seal_position(POSITION, first, owner="o", turn=3)))
    assert open_position(stored, await seal(salt=stored.salt)) == POSITION
    assert (stored.owner, stored.turn) == ("o", 3)


@pytest.mark.parametrize(("password", "account"), [("other", "alice"), ("secret", "bob")])
async def test_another_password_or_account_opens_nothing(password: str, account: str) -> None:
    """A secret can't be opened with another password, nor moved to another account."""
    stored = seal_position(POSITION, await seal(), owner="o", turn=1)
    with pytest.raises(Unsealable):
        open_position(stored, await seal(password, account, stored.salt))


@pytest.mark.parametrize("field", ["acknowledgement", "base_sequence", "next_sequence", "last_reply_at"])
async def test_no_number_can_be_changed(field: str) -> None:
    """A position whose numbers are not those that were signed is not opened: a forged one could have events skipped."""
    one = await seal()
    stored = seal_position(POSITION, one, owner="o", turn=1)
    forged = msgspec.structs.replace(stored, **{field: getattr(stored, field) + 1})
    with pytest.raises(Unsealable):
        open_position(forged, one)


async def test_a_claim_leaves_the_signature_valid() -> None:
    """Another owner and turn, which a successor puts there, are no change of the position."""
    one = await seal()
    claim = msgspec.structs.replace(seal_position(POSITION, one, owner="o", turn=1), owner="p", turn=0)
    assert open_position(decode(encode(claim)), one) == POSITION


async def test_a_damaged_secret_is_not_opened() -> None:
    """A flipped bit, a cut and an empty secret are all found."""
    one = await seal()
    sealed = one.seal(b"{}")
    for damaged in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:5], b""):
        with pytest.raises(Unsealable):
            one.open(damaged)


async def test_the_same_secret_is_sealed_once() -> None:
    """An unchanged session costs no new encryption; a changed one gets a nonce of its own."""
    one = await seal()
    sealed = one.seal(b"a")
    assert one.seal(b"a") is sealed
    assert one.seal(b"b")[:12] != sealed[:12]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"owner": "o"}', b'{"version": 2, "owner": "o", "turn": 1}'])
def test_what_is_no_position_is_unreadable(value: bytes) -> None:
    """Damage and a newer version are told apart from a position."""
    with pytest.raises(Unreadable):
        decode(value)
