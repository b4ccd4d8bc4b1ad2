"""The file of a bundle: what was changed in it is found and named."""

import base64
import random
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UnusableInput
from bridge.evidence import Bundle, Outcome, decode, public_key, sealed, verify
from bridge.evidence.file.document import KIND, Document, digests_of, encode, part_at, signed_content
from bridge.evidence.file.sign import Signer, private_key
from bridge.settings import Evidence
from tests.evidence_parts import START, Topics, acknowledged, collector, gap, heard, key_file, operation

CHANGES = 1_000


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return key_file(tmp_path_factory.mktemp("keys"))


async def bundle() -> Bundle:
    """A bundle with something in each of its parts."""
    topics = Topics()
    await topics.write(
        operation("r1", "requested", START),
        gap(START + 0.5, START + 1),
        acknowledged("r1", START + 2),
        acknowledged("r1", START + 3, number=3),
        heard(START + 2, number=1),
        operation("r1", "acknowledged", START + 2, acknowledgement_id="session-0", user_event_id="gone"),
    )
    return await collector(topics).collect("reference", "r1")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def content(key: Path) -> bytes:
    return await sealed(await bundle(), Evidence(key_file=key))


def failures(content: bytes, **options: object) -> list[str]:
    return [check.subject for check in verify(content, **options) if check.outcome is Outcome.FAILED]  # type: ignore[arg-type]


def same_part(named: str, changed: str) -> bool:
    """Whether a failure names the part of the changed byte, or the list that it is in."""
    return named == changed or named.partition("[")[0].lower() == changed.partition("[")[0].lower()


async def test_an_unchanged_file_is_verified(content: bytes, key: Path) -> None:
    """Nothing fails in an unchanged file; with the key it is known who signed it, and another key fails."""
    assert failures(content) == []
    [signature] = [check for check in verify(content) if check.subject == "signature"]
    assert signature.outcome is Outcome.UNCHECKED
    checks = {check.subject: check.outcome for check in verify(content, trusted=public_key(key))}
    assert checks["signature"] is Outcome.OK
    other = Signer(private_key(key_file(key.parent, "other.pem")), KIND)
    assert failures(content, trusted=public_key(key.parent / "other.pem")) == ["signature"]
    assert other.thumbprint not in content.decode()


async def test_every_part_is_in_the_file_on_a_line_of_its_own(content: bytes) -> None:
    """Each part of the bundle is one line, so a byte's place says which part it belongs to."""
    one = decode(content)
    for number, record in enumerate(one.bundle.records):
        assert part_at(content, content.index(msgspec.json.encode(record))) == f"records[{number}]"
    assert {name for name in digests_of(one.bundle) if "[" in name} >= {
        "operations[0]",
        "records[4]",
        "gaps[0]",
        "contradictions[0]",
        "missing[0]",
        "searched[0]",
        "schemas[0]",
    }


async def test_a_thousand_changed_bytes_are_found_and_named(content: bytes) -> None:
    """Of 1,000 files with one changed byte, each fails, and names the part of the byte among its failures."""
    chance = random.Random(16)  # noqa: S311 -- a choice of places, no secret
    for _ in range(CHANGES):
        at, byte = chance.randrange(len(content)), chance.randrange(256)
        if content[at] == byte:
            continue
        found = failures(content[:at] + bytes([byte]) + content[at + 1 :])
        assert found, f"byte {at} became {byte:#x}, and nothing failed"
        part = part_at(content, at)
        # Without a line break or a bracket, a part's line becomes one with its neighbour's.
        frame = "[" not in part or content[at : at + 1] in b"\n,[]{}"
        assert frame or any(same_part(one, part) for one in found), f"byte {at} of {part}: {found}"


@given(data=st.data())
async def test_any_changed_byte_is_found(content: bytes, data: st.DataObject) -> None:
    """Whichever byte of a signed file becomes whichever other one, verify fails."""
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != content[at]))
    assert failures(content[:at] + bytes([byte]) + content[at + 1 :])


@given(data=st.data())
async def test_any_cut_or_added_bytes_are_found(content: bytes, data: st.DataObject) -> None:
    """A file of which a piece is missing, or that has another piece in it, fails."""
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start, len(content)))
    piece = data.draw(st.binary(max_size=20))
    changed = content[:start] + piece + content[end:]
    assert changed == content or failures(changed)


async def test_a_change_with_its_digests_made_anew_is_found(content: bytes, key: Path) -> None:
    """Somebody who changes a part and computes its digests anew can't make the signature anew without the key."""
    one = decode(content)
    history = msgspec.structs.replace(one.bundle.operations[0], requested_by="somebody else")
    changed = msgspec.structs.replace(one.bundle, operations=(history,))
    forged = Document(
        format=one.format, bundle=changed, digests=digests_of(changed), signature=one.signature, time_stamp=None
    )
    assert failures(encode(forged)) == ["digests"]
    other = Signer(private_key(key_file(key.parent, "forger.pem")), KIND)
    signed = msgspec.structs.replace(forged, signature=other.sign(signed_content(forged)))
    assert failures(encode(signed)) == []
    assert failures(encode(signed), trusted=public_key(key)) == ["signature"]


async def test_a_record_whose_bytes_are_not_those_of_its_digest_is_named(key: Path) -> None:
    """A signed bundle that names another SHA-256 for a record than that of its bytes fails."""
    whole = await bundle()
    record = msgspec.structs.replace(whole.records[2], value=base64.b64encode(b"{}").decode())
    changed = msgspec.structs.replace(whole, records=(*whole.records[:2], record, *whole.records[3:]))
    assert failures(await sealed(changed, Evidence(key_file=key))) == ["records[2]"]


async def test_a_signature_of_another_kind_does_not_count(content: bytes, key: Path) -> None:
    """A signature by the same key over the manifest of an archive is no signature of evidence."""
    one = decode(content)
    other = Signer(private_key(key), "bridge-evidence-archive")
    signed = msgspec.structs.replace(one, signature=other.sign(signed_content(one)))
    assert failures(encode(signed)) == ["signature"]


async def test_a_file_without_a_signature_proves_nothing() -> None:
    """A bundle that no key has signed fails, though its digests are right."""
    assert failures(await sealed(await bundle(), Evidence())) == ["signature"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"{" * 10_000, b'{"format":"bridge-evidence/2"}'])
def test_what_is_no_evidence_is_refused(content: bytes) -> None:
    """Any other file fails with one line."""
    [check] = verify(content)
    assert check.outcome is Outcome.FAILED


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A key file that is missing, or has no Ed25519 key, is refused with the command that makes one."""
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(UnusableInput, match="openssl genpkey -algorithm ed25519"):
        private_key(path)
    with pytest.raises(UnusableInput, match="can't be read"):
        private_key(tmp_path / "none.pem")
