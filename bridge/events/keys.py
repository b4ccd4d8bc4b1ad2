"""The keys of Kafka records. Events of one outbound record have the same key, so Kafka keeps their order."""

from __future__ import annotations


def record_key(
    application_id: int | None, campaign_name: str | None, record_handle: int | None, phone_number: str | None
) -> str | None:
    """Return the key of an outbound record: `<applicationId>/<campaignName>/<recordHandle>`.

    Without a handle the phone number is the last part. A missing application or campaign is an empty part. Return None
    if both the handle and the phone number are missing.
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
    """Return the key of an acknowledgement: the key of its record, else of its campaign, else the account."""
    key = record_key(application_id, campaign_name, record_handle, phone_number)
    if key is not None:
        return key
    if application_id is None and not campaign_name:
        return account
    return f"{'' if application_id is None else application_id}/{campaign_name or ''}/"


def user_event_key(  # noqa: PLR0917 - keyword arguments are slower, and each event needs this call
    application_id: int | None,
    campaign_name: str | None,
    record_handle: int | None,
    phone_number: str | None,
    device_id: str | None,
    account: str,
) -> str:
    """Return the key of a user event: the key of its record, else the deviceId, else the account."""
    return record_key(application_id, campaign_name, record_handle, phone_number) or device_id or account
