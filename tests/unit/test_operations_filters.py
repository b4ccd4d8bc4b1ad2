"""Which operations a filter chooses."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bridge.errors import NumberSearchImpossible
from bridge.events import Operation
from bridge.operations import OperationFilter, OperationView
from bridge.operations.view.filters import Matcher
from bridge.operations.view.published import published_request
from bridge.operations.view.state import merge
from bridge.privacy import Concealment
from tests.unit.operation_parts import ACCOUNT, SAMPLE, event

NUMBER = "+1 (555) 010-2345"
SECRET = Concealment(b"a secret of the tests")
HASH = SECRET.number(NUMBER)
OMIT = Concealment(None)


def operation(**changes: Any) -> Operation:
    """The event of a request for `NUMBER`, by its number alone unless `changes` has a handle."""
    request = SAMPLE | {"phoneNumber": NUMBER}
    return event("requested", request=msgspec.Raw(msgspec.json.encode(request)), **({"record_handle": None} | changes))


def view(**changes: Any) -> OperationView:
    return merge(None, operation(**changes))


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ({}, True),
        ({"status": "requested"}, True),
        ({"status": "accepted"}, False),
        ({"account": ACCOUNT}, True),
        ({"account": "other"}, False),
        ({"reference": "1"}, True),
        ({"reference": "2"}, False),
        ({"phone": "+1 555 010 2345"}, True),
        ({"phone": "+15550102345"}, True),
        ({"phone": "15550102345"}, False),
        ({"phone": "0102345"}, False),
        ({"record": f"134/Campaign1/{NUMBER}"}, True),
        ({"record": "134/Campaign1/13"}, False),
        ({"since": datetime(2026, 1, 1, 12, tzinfo=UTC)}, True),
        ({"since": datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)}, False),
        ({"until": datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)}, True),
        ({"until": datetime(2026, 1, 1, 12, tzinfo=UTC)}, False),
        ({"account": ACCOUNT, "status": "accepted"}, False),
        ({"pending": True}, True),
    ],
)
def test_every_property_of_a_filter_must_match(wanted: dict[str, Any], *, chosen: bool) -> None:
    """A filter chooses an operation only if each of its properties matches; a number matches with any separators."""
    assert Matcher(OperationFilter(**wanted), None)(view()) is chosen


def test_record_key_with_a_handle_has_the_handle() -> None:
    """An operation on a record with a handle is found by that handle, and not by its phone number."""
    one = view(record_handle=13)
    assert Matcher(OperationFilter(record="134/Campaign1/13"), None)(one)
    assert not Matcher(OperationFilter(record=f"134/Campaign1/{NUMBER}"), None)(one)


@pytest.mark.parametrize("phone", [NUMBER, "+15550102345", HASH])
def test_hashed_number_is_found_by_number_and_by_hash(phone: str) -> None:
    """With `hmac` the search works in all replicas, whether they know the number or its hash only."""
    hashed = msgspec.structs.replace(
        view(), request_json=msgspec.json.encode(SAMPLE | {"phoneNumber": HASH}), sealed_request="2:x"
    )
    matches = Matcher(OperationFilter(phone=phone), SECRET)
    assert matches(view())
    assert matches(hashed)
    assert not Matcher(OperationFilter(phone="+15550102346"), SECRET)(view())


def test_record_key_does_not_tell_a_hidden_number() -> None:
    """With `hmac` or `omit` a record key with the plain number finds nothing: else a search would tell the number."""
    for privacy, published in ((SECRET, HASH), (OMIT, "omitted")):
        assert not Matcher(OperationFilter(record=f"134/Campaign1/{NUMBER}"), privacy)(view())
        assert Matcher(OperationFilter(record=f"134/Campaign1/{published}"), privacy)(view())


def test_omitted_number_can_not_be_searched_for() -> None:
    """With `omit` a search for a number is refused, although this process knows the numbers of its own operations."""
    with pytest.raises(NumberSearchImpossible):
        Matcher(OperationFilter(phone=NUMBER), OMIT)


@pytest.mark.parametrize(("privacy", "phone"), [(None, NUMBER), (SECRET, HASH), (OMIT, None)])
def test_request_is_shown_as_the_events_publish_it(privacy: Concealment | None, phone: str | None) -> None:
    """The number that a person sees is the number, the hash or nothing, as the settings say for events."""
    shown = published_request(view(), privacy)
    assert (shown.phone, shown.body.get("phoneNumber")) == (phone, phone)
    assert shown.body["campaignName"] == "Campaign1"
    assert shown.complete
    assert (NUMBER in str(shown)) is (privacy is None)
