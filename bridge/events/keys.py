"""Record keys: what belongs together lands in partitions of the same number, in order."""

from __future__ import annotations


def record_key(
    application_id: int | None, campaign_name: str | None, record_handle: int | None, phone_number: str | None
) -> str | None:
    """Name an outbound record: `<applicationId>/<campaignName>/<recordHandle>`, without a handle the phone number.

    Absent applications and campaigns are empty segments. None where neither handle nor phone number tells the record.
    """
    if record_handle is not None:
        return f"{'' if application_id is None else application_id}/{campaign_name or ''}/{record_handle}"
    if phone_number:
        return f"{'' if application_id is None else application_id}/{campaign_name or ''}/{phone_number}"
    return None


def acknowledgement_key(
    application_id: int | None,
    campaign_name: str | None,
    record_handle: int | None,
    phone_number: str | None,
    account: str,
) -> str:
    """Key of an acknowledgement: the record's; where no record is named, its campaign's; else the account."""
    key = record_key(application_id, campaign_name, record_handle, phone_number)
    if key is not None:
        return key
    if application_id is None and not campaign_name:
        return account
    return f"{'' if application_id is None else application_id}/{campaign_name or ''}/"


def user_event_key(  # noqa: PLR0917 - keywords cost, and this is called for each event
    application_id: int | None,
    campaign_name: str | None,
    record_handle: int | None,
    phone_number: str | None,
    device_id: str | None,
    account: str,
) -> str:
    """Key of a user event: the record's, else the device's (campaign status and the like), else the account."""
    return record_key(application_id, campaign_name, record_handle, phone_number) or device_id or account
