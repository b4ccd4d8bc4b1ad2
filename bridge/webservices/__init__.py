"""A client of Web Services: the login, the REST operations and their statusCodes, and the messages over CometD."""

from bridge.webservices.client import WebServicesClient
from bridge.webservices.exchange import LARGEST_REPLY
from bridge.webservices.login.login import Login, LoginState
from bridge.webservices.login.profile import OUTBOUND_FEATURE, Profile
from bridge.webservices.messages import messages
from bridge.webservices.messages.messages import DeviceUserEvent, Message, OutboundRecord
from bridge.webservices.outbound import (
    NOTIFICATIONS,
    OUTBOUND_OPERATIONS,
    outbound_request,
    repeatable,
    request_forms,
)
from bridge.webservices.replies import UpstreamReply
from bridge.webservices.request_models import (
    EXAMPLE_REQUEST,
    LARGEST_ID,
    LONGEST_REFERENCE,
    DoNotCallByHandle,
    DoNotCallByNumber,
    OutboundRecordRequest,
    outbound_record_path,
)
from bridge.webservices.route import route_of
from bridge.webservices.statuscodes import refusal, status_code
from bridge.webservices.upstream_watch import UpstreamWatch, answers
from bridge.webservices.voice import VoiceSession

__all__ = [
    "EXAMPLE_REQUEST",
    "LARGEST_ID",
    "LARGEST_REPLY",
    "LONGEST_REFERENCE",
    "NOTIFICATIONS",
    "OUTBOUND_FEATURE",
    "OUTBOUND_OPERATIONS",
    "DeviceUserEvent",
    "DoNotCallByHandle",
    "DoNotCallByNumber",
    "Login",
    "LoginState",
    "Message",
    "OutboundRecord",
    "OutboundRecordRequest",
    "Profile",
    "UpstreamReply",
    "UpstreamWatch",
    "VoiceSession",
    "WebServicesClient",
    "answers",
    "messages",
    "outbound_record_path",
    "outbound_request",
    "refusal",
    "repeatable",
    "request_forms",
    "route_of",
    "status_code",
]
