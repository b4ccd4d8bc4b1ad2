from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import acknowledgement_key, record_key, user_event_key

NUMBER = st.none() | st.integers(-(2**63), 2**63 - 1)
TEXT = st.none() | st.text()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((134, "Campaign1", 13, "3001"), "134/Campaign1/13"),
        ((134, "Campaign1", None, "3001"), "134/Campaign1/3001"),
        ((134, "Campaign1", 0, "3001"), "134/Campaign1/0"),
        ((None, "Campaign1", 13, None), "/Campaign1/13"),
        ((134, None, 13, None), "134//13"),
        ((None, None, None, "3001"), "//3001"),
        ((134, "Campaign1", None, None), None),
        ((134, "Campaign1", None, ""), None),
    ],
)
def test_a_record_is_named_by_its_handle_else_by_its_phone_number(
    parts: tuple[int | None, str | None, int | None, str | None], expected: str | None
) -> None:
    """Application, campaign and handle, or phone number; without both there is no record to name."""
    assert record_key(*parts) == expected


def test_an_acknowledgement_of_no_record_goes_by_its_campaign_then_by_the_account() -> None:
    """Without handle and phone number the campaign keys it, without a campaign the account."""
    assert acknowledgement_key(134, "Campaign1", None, None, "alice") == "134/Campaign1/"
    assert acknowledgement_key(None, None, None, None, "alice") == "alice"


def test_a_user_event_of_no_record_goes_by_its_device_then_by_the_account() -> None:
    """Without handle and phone number the device keys it, without a device the account."""
    assert user_event_key(134, "Campaign1", None, None, "device", "alice") == "device"
    assert user_event_key(134, "Campaign1", None, None, None, "alice") == "alice"


@given(NUMBER, TEXT, NUMBER, TEXT)
def test_both_events_of_a_record_have_one_key(
    application_id: int | None, campaign_name: str | None, record_handle: int | None, phone_number: str | None
) -> None:
    """Wherever a record is named, acknowledgement and user event are keyed alike; and no key is ever empty."""
    parts = (application_id, campaign_name, record_handle, phone_number)
    acknowledgement = acknowledgement_key(*parts, "alice")
    user_event = user_event_key(*parts, None, "alice")
    assert acknowledgement
    assert user_event
    if record_key(*parts) is not None:
        assert acknowledgement == user_event
