"""A CometD (Bayeux) client with acknowledgement, keep-alive and resume. It does not depend on Genesys or Kafka."""

from bridge.cometd.http.incoming import HttpReply
from bridge.cometd.http.route import Route
from bridge.cometd.http.session import NO_HEADERS, Credentials, HttpSession
from bridge.cometd.messages.batch import Batch, Event, Opening, Resume, Sink
from bridge.cometd.renewal_guard import RenewalGuard
from bridge.cometd.session import CometdSession
from bridge.cometd.session_context import Options
from bridge.cometd.status import SessionStatus, State

__all__ = [
    "NO_HEADERS",
    "Batch",
    "CometdSession",
    "Credentials",
    "Event",
    "HttpReply",
    "HttpSession",
    "Opening",
    "Options",
    "RenewalGuard",
    "Resume",
    "Route",
    "SessionStatus",
    "Sink",
    "State",
]
