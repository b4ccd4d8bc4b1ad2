"""Evidence from the real servers: in each format of the values, and at each replica of a fleet."""

from pathlib import Path

import msgspec
import pytest

from bridge.evidence import Bundle, decode
from tests.evidence_parts import key_file
from tests.faults.bridge_process import BridgeProcess
from tests.faults.fleet.replicas import UNATTENDED, owner, start
from tests.faults.operations import caller
from tests.faults.site import Site
from tests.page import REQUEST
from tests.real import RealRegistry
from tests.unit.cli_process import bridge as command

REFERENCE = "crm-1"
EVENTS = ("requested", "accepted", "acknowledged")


async def export(site: Site, directory: Path, *arguments: str, **changes: str) -> tuple[bytes, str]:
    """Run `bridge evidence export`, and return the file and the output of the command."""
    path = directory / "evidence.json"
    ended = await command(
        "evidence", "export", *arguments, "--output", str(path), environment=site.environment(**changes)
    )
    assert ended.status == 0, ended.errors
    return path.read_bytes(), ended.output


async def verified(site: Site, directory: Path, content: bytes, **changes: str) -> None:
    """Verify a file, and that its records are in Kafka."""
    path = directory / "verified.json"
    path.write_bytes(content)
    ended = await command("evidence", "verify", str(path), "--kafka", environment=site.environment(**changes))
    assert ended.status == 0, ended.output + ended.errors
    assert ended.output.endswith("Verified: nothing was changed.\n")


async def acknowledged(bridge: BridgeProcess) -> None:
    """Have an operation acknowledged, and wait until its user event and its last event are in Kafka."""
    async with caller(bridge) as rest:
        assert (await rest.post(REFERENCE, "wait=20")).body["status"] == "acknowledged"

    async def complete() -> bool:
        _, bundle = await bundle_at(bridge)
        return len(bundle.operations[0].events) == len(EVENTS) and bool(bundle.operations[0].user_events)

    await bridge.until(complete, within=30, what="the complete evidence")


async def bundle_at(replica: BridgeProcess) -> tuple[bytes, Bundle]:
    """Get the evidence from one replica."""
    status, content = await replica.get(f"/operations/{REFERENCE}/evidence")
    assert status == 200, content
    return content, decode(content).bundle


def same(bundle: Bundle) -> Bundle:
    """Return the bundle without the time at which it was made."""
    return msgspec.structs.replace(bundle, head=msgspec.structs.replace(bundle.head, made_at=""))


@pytest.mark.parametrize("form", ["json", "json-registry", "avro-registry"])
async def test_evidence_in_each_format(site: Site, real_registry: RealRegistry, tmp_path: Path, form: str) -> None:
    """A search finds the records by reference, phone number and record, verify confirms them, and REST agrees."""
    changes = {"EVIDENCE__KEY_FILE": str(key_file(tmp_path))}
    if form != "json":
        changes |= {"KAFKA__FORMAT": form, "KAFKA__REGISTRY__URL": real_registry.url}
    bridge = await site.ready_bridge(**changes)
    await acknowledged(bridge)
    by_rest, bundle = await bundle_at(bridge)
    await verified(site, tmp_path, by_rest, **changes)
    [history] = bundle.operations
    assert (history.reference_id, history.verdict, history.acknowledgement is not None) == (REFERENCE, "in-time", True)
    assert {event.signature for event in history.events} == {"valid"}
    assert msgspec.json.decode(history.request)["phoneNumber"] == REQUEST["phoneNumber"]
    assert bundle.schemas
    record = f"{REQUEST['applicationId']}/{REQUEST['campaignName']}/13"
    for subject in (("--reference", REFERENCE), ("--phone", str(REQUEST["phoneNumber"])), ("--record", record)):
        content, output = await export(site, tmp_path, *subject, **changes)
        assert f"{REFERENCE}: acknowledged, in-time" in output
        await verified(site, tmp_path, content, **changes)
        found = decode(content).bundle
        assert found.operations == bundle.operations
        assert {one.place for one in found.records} == {one.place for one in bundle.records}


@UNATTENDED
async def test_each_replica_of_a_fleet_gives_the_same_evidence(site: Site, tmp_path: Path) -> None:
    """The bundle of an operation does not depend on the replica, nor on whether the command makes it."""
    changes = {"EVIDENCE__KEY_FILE": str(key_file(tmp_path))}
    replicas = await start(site, **changes)
    await owner(replicas)  # acknowledgements need a CometD session
    await acknowledged(replicas[0])
    content, output = await export(site, tmp_path, "--reference", REFERENCE, **changes)
    assert f"{REFERENCE}: acknowledged, in-time" in output
    of_command = same(decode(content).bundle)
    for replica in replicas:
        by_rest, bundle = await bundle_at(replica)
        await verified(site, tmp_path, by_rest, **changes)
        assert same(bundle) == of_command
