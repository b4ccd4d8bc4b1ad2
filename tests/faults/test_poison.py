"""Messages that no documentation foresees, in the middle of good ones."""

from collections import Counter

from tests.faults.site import Site

OUTBOUND = "/v2/me/outbound"
INTERNAL = "/me/internal"
HUGE = 10**9
"""A reference of nobody's: where the event came through as it is, the ledger would find a stranger."""
SHAPES: list[object] = [None, "text", 5, True, [1, 2], {}, {"messageType": 7}, {"messageType": "ComfortNoiseMessage"}]
"""None of these is a message of a known kind."""
WRONG: list[object] = [None, "x", -1, 1.5, True, [], {}, 10**30, "9" * 400, "\u0000\U0001f4a5"]


def wrong_acknowledgements() -> list[object]:
    """Acknowledgements with each wrong value in every field, and one in the place of the record."""
    fields = ("applicationId", "campaignName", "recordHandle", "phoneNumber", "callingList", "devicePath")
    told = [
        {
            "messageType": "OutboundRecordMessage",
            "notificationType": wrong,
            "referenceId": [wrong],
            "record": dict.fromkeys(fields, wrong),
        }
        for wrong in WRONG
    ]
    return [*told, *({"messageType": "OutboundRecordMessage", "record": wrong} for wrong in WRONG)]


def wrong_user_events() -> list[object]:
    """User events with each wrong value in the place of every part."""
    return [
        {
            "messageType": "DeviceUserEventMessage",
            "deviceId": wrong,
            "userData": {"GSW_RECORD_HANDLE": wrong, "GSW_PHONE": wrong, "GSW_USER_EVENT": wrong} if even else wrong,
            "metrics": {"eventProcessing": wrong},
        }
        for wrong in WRONG
        for even in (False, True)
    ]


async def test_poison_in_the_middle(site: Site) -> None:
    """Nothing that a message holds stops the relay: good events around it arrive, and it does too, as what it is."""
    bridge = await site.ready_bridge()
    await site.ledger.publish(10)
    odd = [*SHAPES, *wrong_acknowledgements(), *wrong_user_events()]
    for one in odd:
        await site.web.publish_all([(OUTBOUND, one), (INTERNAL, {"before": "good", "of": repr(one)})])
        await site.ledger.publish(1)
    await site.ledger.publish(10)
    await site.arrived(20 + len(odd))
    account = await site.settled()
    assert bridge.events("listening")
    assert account.changes == ["opened"]
    topics = Counter(one.topic for one in account.seen if not one.numbered)
    assert topics == {
        "acknowledgements.v1": len(wrong_acknowledgements()),
        "user-events.v1": len(wrong_user_events()),
        "unrecognized.v1": len(SHAPES) + len(odd),
    }


async def test_an_event_too_large_for_kafka(site: Site) -> None:
    """An event of 3 MB becomes a dead letter, with its reason; those before and after it arrive as they are."""
    bridge = await site.ready_bridge()
    await site.ledger.publish(10)
    await site.web.generate(1, keys=1, start=HUGE, pad=3_000_000)
    await site.ledger.publish(10)
    await site.arrived(20)
    assert await bridge.metric("bridge_events_dead_lettered_total", reason="too-large") == 1
    assert await bridge.missing() == []
    account = await site.settled()
    [letter] = [one for one in account.seen if one.topic == "dead-letters.v1"]
    assert letter.content.reason == "too-large"
    assert letter.content.sha256
    assert account.changes == ["opened"]


async def test_poison_survives_a_crash(site: Site) -> None:
    """A crash after a message that can't be published does not bring it again."""
    bridge = await site.ready_bridge()
    await site.web.generate(1, keys=1, start=HUGE, pad=3_000_000)
    await site.ledger.publish(10)
    await site.arrived(10)
    await bridge.kill()
    bridge = await site.ready_bridge()
    await site.ledger.publish(10)
    await site.arrived(20)
    account = await site.settled()
    assert Counter(one.topic for one in account.seen)["dead-letters.v1"] == 1
