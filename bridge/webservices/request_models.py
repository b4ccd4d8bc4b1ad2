"""The requests of the Outbound API. The bridge validates a caller's request, and forwards it unchanged.

Types are strict. Unknown fields are allowed, because Web Services may have undocumented fields. Source: one page of the
Outbound API for each operation. DoNotCallRecord has two pages: by handle (callingList required) and by number
(phoneNumber required). The table of operations is in `bridge.webservices.outbound`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

API: Final = "/api/v2"
LONGEST_REFERENCE: Final = 255
"""Maximum characters of a referenceId."""
LARGEST_ID: Final = 2**53 - 1
"""The largest record handle or application id: the largest integer that every JSON parser keeps exactly (RFC 7493)."""
Text = Annotated[str, Field(min_length=1)]


def _whole(value: Any) -> Any:
    """Return 134 for `134.0`, because these are equal in JSON Schema. Return any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _never_null(value: Any) -> Any:
    """Refuse null. A caller must omit an optional parameter instead."""
    if value is None:
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


def _without_null(schema: dict[str, Any]) -> None:
    """Remove `null` and the default from optional parameters in the JSON Schema."""
    for described in schema["properties"].values():
        if "anyOf" in described:
            [only] = [one for one in described.pop("anyOf") if one != {"type": "null"}]
            described.update(only)
            described.pop("default", None)


NEVER_NULL: Final = BeforeValidator(_never_null)

PhoneType: TypeAlias = Literal[
    "NoContactType",
    "HomePhone",
    "DirectBusinessPhone",
    "BusinessWithExt",
    "Mobile",
    "VacationPhone",
    "Pager",
    "Modem",
    "VoiceMail",
    "PinPager",
    "EmailAddress",
    "InstantMessaging",
]
TimeOfDay = Annotated[int, Field(ge=0, le=86_400, description="Seconds of the day."), BeforeValidator(_whole)]
OptionalText: TypeAlias = Annotated[Text | None, NEVER_NULL]

EXAMPLE_REQUEST: Final[dict[str, JsonValue]] = {
    "callingList": "CallingList1",
    "phoneNumber": "3001",
    "campaignName": "Campaign1",
    "devicePath": "/devices/f32a46c4-8a48-4067-9965-537fc9788790",
    "operationName": "DoNotCallRecord",
    "applicationId": 134,
    "chainAttribute": "AllChain",
    "referenceId": "123456789",
}
"""The exact request of the page DoNotCallRecord."""
_RECORD: Final = {name: EXAMPLE_REQUEST[name] for name in ("campaignName", "devicePath", "applicationId")}
_CONTACT: Final[dict[str, JsonValue]] = {
    "phoneNumber": "3001",
    "phoneType": "Mobile",
    "timeZone": "GMT",
    "from": 0,
    "until": 86339,
}


def outbound_record_path(record_handle: int | None) -> str:
    """Return Web Services' path for a record. Without a handle, the request body identifies the record."""
    path = f"{API}/me/outbound-records"
    return path if record_handle is None else f"{path}/{record_handle:d}"


class OutboundRecordRequest(BaseModel):
    """The parameters that every operation on an outbound record has."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="allow",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra=_without_null,
    )

    operation_name: Text
    application_id: Annotated[
        int,
        Field(ge=0, le=LARGEST_ID, description="The OCS application's id."),
        BeforeValidator(_whole),
    ]
    campaign_name: Text
    device_path: Annotated[
        str,
        Field(pattern=r"^/devices/[^/]+$", description="The device of the TLib request, as `/devices/{id}`."),
    ]
    reference_id: Annotated[
        str | None,
        NEVER_NULL,
        Field(
            min_length=1,
            max_length=LONGEST_REFERENCE,
            description="The acknowledgement carries the same referenceId. If it is missing, the bridge makes one.",
        ),
    ] = None

    def body(self) -> dict[str, Any]:
        """Return the fields that the caller sent, by Web Services' names."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    def with_reference(self, reference_id: str) -> Self:
        """Return the same request with this referenceId."""
        return self.model_copy(update={"reference_id": reference_id})


def _example(operation: str, parameters: dict[str, JsonValue]) -> ConfigDict:
    """Return the configuration of a model, with an example for its JSON Schema.

    The example comes from the documentation page of the operation. In the JSON Schema no parameter allows `null`. The
    example has no referenceId, so the bridge makes a new one each time that somebody tries the example. With a fixed
    referenceId, the bridge would not forward the example a second time.
    """
    example = {"operationName": operation} | _RECORD | parameters
    example.pop("referenceId", None)

    def extra(schema: dict[str, Any]) -> None:
        _without_null(schema)
        schema["examples"] = [example]

    return ConfigDict(json_schema_extra=extra)


class DoNotCallRecord(OutboundRecordRequest):
    """Marks an outbound record as DoNotCall."""

    operation_name: Literal["DoNotCallRecord"]
    chain_attribute: Annotated[
        Literal["AllChain", "RecordOnly"] | None,
        NEVER_NULL,
        Field(description="Whether to mark all records of the chain, or only this record."),
    ] = None
    calling_list: OptionalText = None
    phone_number: OptionalText = None


class DoNotCallByHandle(DoNotCallRecord):
    """Marks an outbound record, given by the handle in the path, as DoNotCall."""

    model_config = _example("DoNotCallRecord", EXAMPLE_REQUEST)

    calling_list: Text


class DoNotCallByNumber(DoNotCallRecord):
    """Marks an outbound record, given by a phone number, as DoNotCall."""

    model_config = _example("DoNotCallRecord", {"phoneNumber": "3001", "chainAttribute": "AllChain"})

    phone_number: Text


class UpdateRecord(OutboundRecordRequest):
    """Changes the contact's phone number, the number's type, or the hours at which it may be called."""

    model_config = _example("UpdateRecord", _CONTACT)

    operation_name: Literal["UpdateRecord"]
    phone_number: OptionalText = None
    phone_type: Annotated[PhoneType | None, NEVER_NULL] = None
    time_zone: OptionalText = None
    from_: Annotated[TimeOfDay | None, NEVER_NULL, Field(alias="from")] = None
    until: Annotated[TimeOfDay | None, NEVER_NULL] = None


class CompleteRecord(OutboundRecordRequest):
    """Reports that the record was processed, with the result of the call."""

    model_config = _example("CompleteRecord", {"callResult": "Answer", "phoneNumber": "3001"})

    operation_name: Literal["CompleteRecord"]
    call_result: OptionalText = None
    phone_number: OptionalText = None


class RejectRecord(OutboundRecordRequest):
    """Gives a record back to Web Services without calling it."""

    model_config = _example("RejectRecord", {"callingList": "CallingList1"})

    operation_name: Literal["RejectRecord"]
    calling_list: Text


class RescheduleRecord(OutboundRecordRequest):
    """Schedules another call of the record."""

    model_config = _example("RescheduleRecord", {"callbackType": "Campaign", "timestamp": 1_433_915_450})

    operation_name: Literal["RescheduleRecord"]
    callback_type: Annotated[
        Literal["Personal", "Campaign"], Field(description="Who calls back: this agent, or any agent of the campaign.")
    ]
    timestamp: Annotated[
        int,
        Field(ge=0, le=LARGEST_ID, description="Time of the call, in seconds since 1970 UTC."),
        BeforeValidator(_whole),
    ]


class AddRecord(OutboundRecordRequest):
    """Adds a record to a calling list."""

    model_config = _example("AddRecord", _CONTACT)

    operation_name: Literal["AddRecord"]
    phone_number: Text
    phone_type: PhoneType
    time_zone: Text
    from_: Annotated[TimeOfDay, Field(alias="from")]
    until: TimeOfDay
    chain_id: Annotated[
        Annotated[int, Field(ge=0, le=LARGEST_ID), BeforeValidator(_whole)] | None,
        NEVER_NULL,
        Field(description="Id of the chain to add the record to."),
    ] = None
    other_fields: Annotated[
        dict[str, JsonValue] | None, NEVER_NULL, Field(description="Further columns of the calling list.")
    ] = None


class GetChainedRecord(OutboundRecordRequest):
    """Requests the records of a record's chain. Web Services sends these records as CometD events."""

    model_config = _example("GetChainedRecord", {})

    operation_name: Literal["GetChainedRecord"]
