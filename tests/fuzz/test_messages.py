"""Bodies of CometD replies, from the bytes to the records that are published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.cometd import Event
from bridge.cometd.messages.message import decode, meta
from bridge.errors import ExchangeFailed
from bridge.privacy import Concealment
from bridge.relay.translation import Translator
from tests.fuzz import published
from tests.fuzz.budget import fuzzed
from tests.fuzz.strategies import bodies, encoded, mutated
from tests.unit.upstream_samples import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT: dict[str, Any] = {
    "channel": "/meta/connect",
    "id": "7",
    "clientId": "c",
    "successful": True,
    "advice": {"reconnect": "retry", "interval": 0, "timeout": 30_000, "maxInterval": 10_000},
    "ext": {"ack": 4},
}
MESSAGES: list[dict[str, Any]] = [{"channel": one.channel, "data": one.data, "id": "1"} for one in SAMPLES]
REPLY = [CONNECT, *MESSAGES]
PRIVACIES = (None, Concealment(None), Concealment(b"a secret that is long enough"))
# Names aside, these are the two documents with the fewest nodes: a change falls where it matters.
SHORT = [CONNECT, MESSAGES[0]]


def translated(events: Sequence[Event], privacy: Concealment | None) -> None:
    """Translate as the relay does, and check all that would be published."""
    translator = Translator("agent", privacy=privacy)
    translation = translator.translate(events, session="0" * 16, first_sequence=5, received_at=1_767_268_800.0)
    assert len(translation.records) == len(events)
    published.check(translation.records)


@fuzzed(500)
@given(bodies(REPLY, SHORT, CONNECT), st.sampled_from(PRIVACIES))
def test_a_reply_becomes_valid_records_or_a_failed_exchange(body: bytes, privacy: Concealment | None) -> None:
    """A reply is refused as a whole as no JSON, or each of its events becomes a record that its schema allows."""
    try:
        messages = decode(body)
    except ExchangeFailed as failure:
        assert failure.reason == "not-json"  # noqa: PT017 -- whether it is refused is open here
        return
    for message in messages:
        msgspec.json.encode(meta(message))
    translated([message for message in messages if not message.channel.startswith("/meta/")], privacy)


@fuzzed(400)
@given(mutated(*(one.data for one in SAMPLES)), st.sampled_from(PRIVACIES))
def test_the_data_of_an_event_becomes_one_valid_record(data: object, privacy: Concealment | None) -> None:
    """Whatever stands in an event's data, exactly one valid record comes of it."""
    translated([Event("/v2/me/outbound", msgspec.Raw(encoded(data)))], privacy)
