"""Decides which records belong to a search: by reference, record key, phone number, record or job."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.events import DEAD_LETTERS, acknowledgement, operation, record_key, session, user_event
from bridge.privacy import OMITTED, normalised

if TYPE_CHECKING:
    from bridge.evidence.content import Content, Found, Named

FEW: Final = 64
"""Maximum number of references that are searched for in the bytes of a value. For more references, each value is
decoded, because this is faster."""
_SEPARATOR: Final = rb"(?:[ \t\-.()]|\\t)*"
"""Separators that may be between the digits of a number in the bytes of a value. JSON writes a tab as `\\t`."""
_ESCAPE: Final = b"\\u"
"""The beginning of an escaped character in JSON. Such a character may be a digit of the number."""


@dataclass(frozen=True, slots=True)
class OutboundRecord:
    """A record of a calling list, as `--record APP/CAMPAIGN/HANDLE` names it."""

    application_id: int | None
    campaign_name: str
    handle: int

    @property
    def key(self) -> str:
        """The record's key in the topics."""
        key = record_key(self.application_id, self.campaign_name, self.handle, None)
        assert key is not None  # a record with a handle always has a key
        return key


@dataclass(slots=True)
class Criteria:
    """The criteria of a search. A record that meets one of the criteria belongs to the search."""

    references: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    """Keys of outbound records."""
    phones: set[str] = field(default_factory=set)
    """The wanted phone number without separators, and its HMAC."""
    record: OutboundRecord | None = None
    job: str | None = None
    """The beginning that all referenceIds of a `bridge mark` job have in common."""
    accounts: set[str] = field(default_factory=set)
    """Accounts whose gaps are wanted."""
    _encoded: set[bytes] = field(default_factory=set)
    _needles: tuple[bytes, ...] = ()
    _numbers: re.Pattern[bytes] | None = None

    def prepare(self) -> None:
        """Encode the criteria for `may_meet`. Call it after each change."""
        self._encoded = {text.encode() for text in self.references | self.keys}
        forms = {form for text in self.references for form in (text, json.dumps(text)[1:-1])}
        self._needles = tuple(form.encode() for form in forms)
        written = [_SEPARATOR.join(re.escape(one.encode()) for one in phone) for phone in sorted(self.phones)]
        self._numbers = re.compile(b"|".join(written)) if written else None

    def may_meet(self, topic: str, key: bytes | None, value: bytes | None) -> bool:
        """Return whether the record may meet a criterion, so that it must be decoded.

        The bytes of a value are searched here, because decoding each value takes much longer. A record without `value`
        meets no criterion.
        """
        if value is None:
            return False
        if topic == session.TOPIC or key in self._encoded:
            return True
        if self._numbers is not None and (self._numbers.search(value) is not None or _ESCAPE in value):
            return True
        if topic == operation.TOPIC:
            starts = self.job is not None and key is not None and key.startswith(self.job.encode())
            return starts or self.record is not None
        if topic == acknowledgement.TOPIC:
            few = len(self.references) <= FEW
            return self.job is not None or not few or any(needle in value for needle in self._needles)
        return False

    def meets(self, found: Found) -> bool:
        """Return whether the decoded record belongs to the search."""
        content, named = found.content, found.named
        if found.topic == session.TOPIC:
            return content.change == "gap" and content.account in self.accounts
        if found.topic == operation.TOPIC:
            return self._is_reference(content.reference_id) or self._is_number(named) or self._is_record(content, named)
        if found.topic == acknowledgement.TOPIC and self._is_reference(content.reference_id):
            return True
        if found.topic in {acknowledgement.TOPIC, user_event.TOPIC}:
            return found.key in self.keys or self._is_number(named)
        return found.topic == DEAD_LETTERS and (found.key in self.keys or found.key in self.references)

    def _is_reference(self, reference: str | None) -> bool:
        if reference is None:
            return False
        return reference in self.references or (self.job is not None and reference.startswith(self.job))

    def _is_number(self, named: Named) -> bool:
        number = named.phone_number
        return number is not None and (number in self.phones or normalised(number) in self.phones)

    def _is_record(self, content: Content, named: Named) -> bool:
        return self.record is not None and (
            (content.record_handle, named.application_id, named.campaign_name)
            == (self.record.handle, self.record.application_id, self.record.campaign_name)
        )


def keys_of(found: Found) -> set[str]:
    """Return the keys that other records about the same outbound record may have."""
    content, named = found.content, found.named
    keys: set[str | None] = {content.acknowledgement_key if found.topic == operation.TOPIC else found.key}
    for handle, number in ((content.record_handle, None), (None, named.phone_number)):
        keys.add(record_key(named.application_id, named.campaign_name, handle, number))
    return {key for key in keys if key is not None and _names_a_record(key)}


def _names_a_record(key: str) -> bool:
    """Return whether a key identifies one outbound record. Other keys identify a campaign, a device or an account."""
    return key.count("/") >= 2 and not key.endswith(("/", f"/{OMITTED}"))
