"""Forwards operations to Web Services, and tracks each one until it ends: acknowledged, rejected or timed out."""

from bridge.operations.correlation import Correlator
from bridge.operations.ledger.records import OperationRecords
from bridge.operations.ledger.signatures import signature_check
from bridge.operations.limits import Limits
from bridge.operations.recorded_request import told_request
from bridge.operations.service import LEDGER_TOPIC, PLACED_TOPICS, OperationsService
from bridge.operations.strict_json import parse_json
from bridge.operations.submission import LARGEST_REQUEST, LONGEST_CALLER, Submission
from bridge.operations.validation import Forms, InvalidRequest, validated
from bridge.operations.view.filters import EVERY_OPERATION, OperationFilter
from bridge.operations.view.published import PublishedRequest
from bridge.operations.view.state import Evidence, OperationView, Times
from bridge.operations.view.view import Counts, Page
from bridge.webservices import (
    LARGEST_ID,
    LONGEST_REFERENCE,
    OUTBOUND_OPERATIONS,
    OutboundRecordRequest,
    refusal,
    request_forms,
    status_code,
)

__all__ = [
    "EVERY_OPERATION",
    "LARGEST_ID",
    "LARGEST_REQUEST",
    "LEDGER_TOPIC",
    "LONGEST_CALLER",
    "LONGEST_REFERENCE",
    "OUTBOUND_OPERATIONS",
    "PLACED_TOPICS",
    "Correlator",
    "Counts",
    "Evidence",
    "Forms",
    "InvalidRequest",
    "Limits",
    "OperationFilter",
    "OperationRecords",
    "OperationView",
    "OperationsService",
    "OutboundRecordRequest",
    "Page",
    "PublishedRequest",
    "Submission",
    "Times",
    "parse_json",
    "refusal",
    "request_forms",
    "signature_check",
    "status_code",
    "told_request",
    "validated",
]
