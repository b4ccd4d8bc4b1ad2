"""A session that is connected and deaf."""

from tests.faults.operations import caller
from tests.faults.site import Site


async def test_no_acknowledgement_comes_any_more(site: Site) -> None:
    """Operations that nobody acknowledges make the bridge probe, poll anew and open a new session, each step told."""
    bridge = await site.ready_bridge(OPERATIONS__ACKNOWLEDGEMENT_TIMEOUT="1")
    await site.web.faults.add("acknowledgement-missing:rest:1")
    async with caller(bridge) as rest:
        assert (await rest.post("lost")).status == 200

        async def has_a_new_session() -> bool:
            return await bridge.metric("bridge_cometd_watchdog_steps_total", step="new-session") == 1

        await bridge.until(has_a_new_session, within=30, what="the watchdog's last step")
        assert [line["step"] for line in bridge.events("watchdog")] == ["probe", "repoll", "new-session"]
        await bridge.ready()
        assert (await rest.post("found", "wait=10")).body["status"] == "acknowledged"
        assert await rest.status("lost") == "timed-out"
    assert await bridge.handshakes() == 2
    assert (await site.settled()).changes == ["opened", "lost", "gap", "opened"]
