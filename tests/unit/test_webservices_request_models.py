"""The requests: checked strictly, forwarded as they came."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.webservices import DoNotCallByHandle, DoNotCallByNumber, outbound_record_path
from tests.page import REQUEST

REQUIRED = ("operationName", "applicationId", "campaignName", "callingList", "devicePath")
BY_HANDLE = {name: REQUEST[name] for name in REQUIRED}
BY_NUMBER = {name: value for name, value in BY_HANDLE.items() if name != "callingList"} | {"phoneNumber": "3001"}
NAMES = [*BY_HANDLE, "phoneNumber", "chainAttribute", "referenceId"]


def faults(model: type[DoNotCallByHandle | DoNotCallByNumber], body: object) -> list[str]:
    with pytest.raises(ValidationError) as failed:
        model.model_validate(body)
    return [".".join(str(part) for part in one["loc"]) for one in failed.value.errors()]


@pytest.mark.parametrize("name", BY_HANDLE)
def test_by_handle_requires(name: str) -> None:
    """Each required parameter of the page is missed by its name."""
    assert faults(DoNotCallByHandle, {key: value for key, value in BY_HANDLE.items() if key != name}) == [name]


@pytest.mark.parametrize("name", BY_NUMBER)
def test_by_number_requires(name: str) -> None:
    """By number, the phone number is required and the calling list is not."""
    assert faults(DoNotCallByNumber, {key: value for key, value in BY_NUMBER.items() if key != name}) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("applicationId", "134"),
        ("applicationId", 134.5),
        ("applicationId", True),
        ("applicationId", -1),
        ("applicationId", 2**53),
        ("campaignName", ""),
        ("campaignName", 7),
        ("callingList", None),
        ("devicePath", "f32a46c4"),
        ("devicePath", "/devices/"),
        ("operationName", "donotcallrecord"),
        ("phoneNumber", 3001),
        ("phoneNumber", None),
        ("chainAttribute", None),
        ("referenceId", None),
        ("chainAttribute", "allchain"),
        ("referenceId", 1),
        ("referenceId", ""),
        ("referenceId", "x" * 256),
    ],
)
def test_types_are_strict(name: str, value: object) -> None:
    """A value of another type or range than documented is refused under its name, never coerced."""
    assert faults(DoNotCallByHandle, BY_HANDLE | {name: value}) == [name]


def test_whole_number_may_have_a_point() -> None:
    """JSON knows one kind of number: 134.0 is 134."""
    assert DoNotCallByHandle.model_validate(BY_HANDLE | {"applicationId": 134.0}).body() == BY_HANDLE


def test_errors_repeat_no_value() -> None:
    """A refusal's text holds none of the caller's values."""
    with pytest.raises(ValidationError) as failed:
        DoNotCallByHandle.model_validate(BY_HANDLE | {"phoneNumber": 5550123})
    assert "5550123" not in str(failed.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text().filter(lambda name: name not in NAMES), values, max_size=5))
def test_unknown_fields_pass_untouched(extra: dict[str, object]) -> None:
    """Whatever else the caller sends is forwarded as it is, and nothing is added."""
    sent = BY_HANDLE | extra
    assert DoNotCallByHandle.model_validate_json(json.dumps(sent)).body() == sent


def test_reference_is_the_only_addition() -> None:
    """Giving a request a referenceId changes nothing else of it."""
    sent = BY_HANDLE | {"note": None}
    request = DoNotCallByHandle.model_validate(sent)
    assert request.with_reference("r1").body() == sent | {"referenceId": "r1"}
    assert request.body() == sent


def test_path_of_a_record() -> None:
    """The path is the upstream's own, with the handle where there is one."""
    assert outbound_record_path(13) == "/api/v2/me/outbound-records/13"
    assert outbound_record_path(None) == "/api/v2/me/outbound-records"
