"""The table of operations: forms, notifications, and what may be sent twice."""

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.simulator.operations import OPERATIONS as SIMULATED
from bridge.webservices import NOTIFICATIONS, OUTBOUND_OPERATIONS, OutboundRecordRequest

FORMS = [
    (name, form)
    for name, operation in OUTBOUND_OPERATIONS.items()
    for form in (operation.by_handle, operation.by_number)
    if form is not None
]


def example(form: type[OutboundRecordRequest]) -> dict[str, Any]:
    [one] = form.model_json_schema()["examples"]
    return dict(one)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_form_is_of_its_operation(name: str, form: type[OutboundRecordRequest]) -> None:
    """Each form takes its own example as it is, and no other operation's name."""
    sent = example(form)
    assert form.model_validate(sent).body() == sent
    for other in OUTBOUND_OPERATIONS:
        if other != name:
            with pytest.raises(ValidationError):
                form.model_validate(sent | {"operationName": other})


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_no_parameter_is_null(name: str, form: type[OutboundRecordRequest]) -> None:
    """No documented parameter may be null, and the description says so too."""
    for parameter, described in form.model_json_schema(by_alias=True)["properties"].items():
        assert "anyOf" not in described, (name, parameter)
        with pytest.raises(ValidationError):
            form.model_validate(example(form) | {parameter: None})


def test_every_notification_answers_one_operation() -> None:
    """A notificationType answers one operation, so that an acknowledgement is never taken for another's."""
    told = [one for each in OUTBOUND_OPERATIONS.values() for one in (*each.acknowledgements, *each.on_the_way)]
    assert len(told) == len(set(told)) == len(NOTIFICATIONS)
    assert all(operation.acknowledgements for operation in OUTBOUND_OPERATIONS.values())


@pytest.mark.parametrize("name", [name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded])
def test_table_agrees_with_the_stand_in(name: str) -> None:
    """The stand-in, made from the same pages on its own, has the same forms, required parameters and notification."""
    mine, theirs = OUTBOUND_OPERATIONS[name], SIMULATED[name]
    assert theirs.notification in mine.acknowledgements
    for form, required in ((mine.by_handle, theirs.with_handle), (mine.by_number, theirs.without_handle)):
        assert (form is None) is (required is None)
        if form is not None and required is not None:
            assert set(form.model_json_schema(by_alias=True)["required"]) == {*required, "operationName"}


def test_only_what_is_safe_is_repeatable() -> None:
    """What adds a record or gives one up is not sent a second time when its reply was lost."""
    once = {name for name, operation in OUTBOUND_OPERATIONS.items() if operation.forwarded and not operation.repeatable}
    assert once == {"CompleteRecord", "RejectRecord", "AddRecord"}
