"""Chooses operations by their properties, for GET /operations and the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import NumberSearchImpossible
from bridge.events import record_key, rfc3339
from bridge.operations.recorded_request import record_name
from bridge.privacy import normalised

if TYPE_CHECKING:
    from datetime import datetime

    from bridge.events import Status
    from bridge.operations.view.state import OperationView
    from bridge.privacy import Concealment


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """The properties that an operation must have. None allows every value."""

    status: Status | None = None
    account: str | None = None
    reference: str | None = None
    """The referenceId."""
    phone: str | None = None
    """The phone number of the request, with or without separators, or its hash as the events publish it."""
    record: str | None = None
    """The record key, as the events publish it: `<applicationId>/<campaignName>/<recordHandle>`."""
    since: datetime | None = None
    """The earliest time of the REST call, with a time zone."""
    until: datetime | None = None
    """The operation's REST call came before this time."""
    pending: bool = False
    """Whether the operation must not have ended yet."""


EVERY_OPERATION = OperationFilter()


class Matcher:
    """Decides which operations a filter chooses. `privacy` is the rule for published phone numbers, None for no rule.

    With a rule, a phone number and a record key match in their published form only. So a search never reveals more than
    the events.

    Raises:
        NumberSearchImpossible: the filter names a phone number, and the events publish neither numbers nor hashes.
    """

    def __init__(self, wanted: OperationFilter, privacy: Concealment | None) -> None:
        self._wanted = wanted
        self._privacy = privacy
        self._since, self._until = _published_time(wanted.since), _published_time(wanted.until)
        self._phone = None if wanted.phone is None else published_number(wanted.phone, privacy)
        if wanted.phone is not None and self._phone is None:
            raise NumberSearchImpossible(
                "The bridge can't search for a phone number, because the setting privacy.phone_numbers is `omit`. "
                "Search by referenceId or by record."
            )

    def __call__(self, view: OperationView) -> bool:
        """Return whether the filter chooses the operation."""
        wanted = self._wanted
        return (
            wanted.status in {None, view.status}
            and (view.pending or not wanted.pending)
            and wanted.account in {None, view.account}
            and wanted.reference in {None, view.reference_id}
            and (self._since is None or view.received_at >= self._since)
            and (self._until is None or view.received_at < self._until)
            and (self._phone is None or self._phone == self._number(view))
            and (wanted.record is None or self._has_record(view, wanted.record))
        )

    def _number(self, view: OperationView) -> str | None:
        number = record_name(view.request_json).phone_number
        return number and published_number(number, self._privacy)

    def _has_record(self, view: OperationView, record: str) -> bool:
        evidence = view.acknowledgement
        return record == published_record(view, self._privacy) or (evidence is not None and evidence.key == record)


def _published_time(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time.timestamp())


def published_number(number: str, privacy: Concealment | None) -> str | None:
    """Return a phone number in the published form without separators, or None if the events do not publish numbers."""
    if privacy is None:
        return normalised(number)
    return number if privacy.is_hash(number) else privacy.number(number)


def published_record(view: OperationView, privacy: Concealment | None) -> str | None:
    """Return the record key of an operation as the events publish it, None if the request names no record."""
    name = record_name(view.request_json)
    number = name.phone_number
    if number is not None and privacy is not None and not privacy.is_hash(number):
        number = privacy.key(number)
    return record_key(name.application_id, name.campaign_name, view.record_handle, number)
