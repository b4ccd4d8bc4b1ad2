"""All metrics of the bridge. Dashboards and alerts rely on the metrics' names and labels. Each label has few values."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ACCOUNT = ("account",)

cometd_connected = Gauge("bridge_cometd_connected", "1 while the account's CometD session is connected", ACCOUNT)
cometd_ack_extension = Gauge(
    "bridge_cometd_ack_extension",
    "1 while the session uses CometD's ack extension, which exactly-once delivery needs; else 0",
    ACCOUNT,
)
cometd_handshakes = Counter("bridge_cometd_handshakes", "CometD handshakes by result", (*ACCOUNT, "result"))
cometd_last_reply = Gauge(
    "bridge_cometd_last_reply_timestamp_seconds", "Unix time of the CometD server's last good reply", ACCOUNT
)
cometd_hold = Gauge(
    "bridge_cometd_hold_seconds", "How long the current batch has been waiting for Kafka; 0 while none waits", ACCOUNT
)
cometd_gaps = Counter("bridge_cometd_gaps", "Lost CometD sessions; events queued in them are lost too", ACCOUNT)
cometd_subscriptions_refused = Gauge(
    "bridge_cometd_subscriptions_refused", "Number of channels that the server refuses to subscribe", ACCOUNT
)
cometd_watchdog_steps = Counter(
    "bridge_cometd_watchdog_steps", "Steps against a session that is silent without an error", (*ACCOUNT, "step")
)
login_refused = Gauge("bridge_login_refused", "1 while Web Services refuses the account's name or password", ACCOUNT)
login_not_kept = Gauge("bridge_login_not_kept", "1 while each login is lost within a minute", ACCOUNT)
cometd_replies_unusable = Counter(
    "bridge_cometd_replies_unusable",
    "Poll replies that the bridge did not accept, by reason; the bridge polls for them again",
    (*ACCOUNT, "reason"),
)
events_received = Counter("bridge_events_received", "Events received from CometD, by kind", (*ACCOUNT, "kind"))
events_published = Counter("bridge_events_published", "Records written to Kafka, by topic", (*ACCOUNT, "topic"))
events_dead_lettered = Counter(
    "bridge_events_dead_lettered", "Records that Kafka refused (dead letters), by reason", (*ACCOUNT, "reason")
)
event_delivery = Histogram(
    "bridge_event_delivery_seconds",
    "Time from the arrival of a reply to the commit of its events in Kafka; one observation for each reply",
    ACCOUNT,
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
kafka_connected = Gauge("bridge_kafka_connected", "1 while Kafka accepts the account's records", ACCOUNT)
kafka_transactions = Counter("bridge_kafka_transactions", "Kafka transactions by result", (*ACCOUNT, "result"))
transaction_accounts = Histogram(
    "bridge_transaction_accounts",
    "Number of accounts with records in one committed Kafka transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
operations = Counter("bridge_operations", "Forwarded operations by outcome", (*ACCOUNT, "outcome"))
operations_pending = Gauge("bridge_operations_pending", "Operations that wait for their acknowledgement", ACCOUNT)
operation_acknowledgement = Histogram(
    "bridge_operation_acknowledgement_seconds",
    "Time from the acceptance of an operation by Web Services to its acknowledgement",
    ACCOUNT,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
operation_retries = Counter(
    "bridge_operation_retries", "Requests repeated because Web Services could not be reached or did not answer", ACCOUNT
)
operation_events_waiting = Gauge("bridge_operation_events_waiting", "Operation events that are not in Kafka yet")
operation_events_lost = Counter(
    "bridge_operation_events_lost", "Operation events lost because the memory for them was full during a Kafka outage"
)
operation_events_left_out = Counter(
    "bridge_operation_events_left_out",
    "Events of pending operations skipped because the memory for operations was full; they are read again later",
)
requests = Counter(
    "bridge_requests",
    "Records of the request topic by result: accepted, repeated (its operation exists already) or rejected",
    ("result",),
)
requests_paused = Gauge(
    "bridge_requests_paused",
    "1 while the bridge does not read the request topic, by reason; busy: enough operations are under way",
    ("reason",),
)
requests_lag = Gauge(
    "bridge_requests_lag", "Records of the request topic that this replica still has to turn into operations"
)
records_unreadable = Counter(
    "bridge_records_unreadable", "Records that the bridge read, could not understand and skipped, by topic", ("topic",)
)
records_untrusted = Counter(
    "bridge_records_untrusted",
    "Records that the bridge read and ignored because their signature is missing or wrong, by topic",
    ("topic",),
)
topic_retention = Gauge(
    "bridge_topic_retention_seconds", "How long Kafka keeps the records of a topic; +Inf without a limit", ("topic",)
)
evidence_at_risk = Gauge(
    "bridge_evidence_at_risk", "1 while topics keep their records for less than five years and no archive is written"
)
http_request = Histogram(
    "bridge_http_request_seconds",
    "REST requests by route, method and status",
    ("route", "method", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
fleet_members = Gauge(
    "bridge_fleet_members",
    "Replicas in the fleet's group, by the newest assignment; 0 before the first assignment, 1 without a fleet",
)
fleet_slots = Gauge(
    "bridge_fleet_slots", "Slots of the fleet, by the newest assignment; 0 before it or without a fleet"
)
fleet_slots_owned = Gauge("bridge_fleet_slots_owned", "Slots whose accounts this replica relays")
fleet_handovers = Counter(
    "bridge_fleet_handovers",
    "Slots that this replica took over (orphaned: without an owner; rebalanced: from another owner) or lost (fenced)",
    ("reason",),
)
fleet_takeover = Histogram(
    "bridge_fleet_takeover_seconds",
    "From an assignment to the first reply in an account's adopted CometD session",
    buckets=(0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 10, 30),
)
accounts = Gauge("bridge_accounts", "Accounts in the settings of this process")
accounts_digest = Gauge(
    "bridge_accounts_digest", "A number made from the names of the accounts; it differs where the accounts differ"
)
accounts_file_invalid = Gauge(
    "bridge_accounts_file_invalid", "1 while the accounts file is wrong, so that the bridge keeps its earlier accounts"
)
accounts_reloads = Counter(
    "bridge_accounts_reloads", "Changes of the accounts file by result: applied, or invalid", ("result",)
)
build_info = Gauge("bridge_build_info", "1, with the version as label", ("version",))

KINDS = ("acknowledgement", "user-event", "unrecognized")
UNUSABLE_REPLIES = ("reply-too-large", "acknowledgement-unusable")
WATCHDOG_STEPS = ("probe", "repoll", "new-session")
HANDSHAKE_RESULTS = ("ok", "refused", "failed")
DEAD_LETTER_REASONS = ("too-large", "refused")
TRANSACTION_RESULTS = ("committed", "aborted", "unknown")
HANDOVER_REASONS = ("orphaned", "rebalanced", "fenced")
RELOAD_RESULTS = ("applied", "invalid")
REQUEST_RESULTS = ("accepted", "repeated", "rejected")
PAUSE_REASONS = ("web-services", "kafka", "registry", "busy")
OPERATION_OUTCOMES = ("accepted", "rejected", "acknowledged", "acknowledged-late", "timed-out", "failed")


def start(version: str, read: list[str]) -> None:
    """Create the series of the process, because Prometheus can't see the first increase of a new series.

    `read` are the full names of the topics that the bridge reads.
    """
    build_info.labels(version).set(1)
    for topic in read:
        records_unreadable.labels(topic)
        records_untrusted.labels(topic)
    fleet_members.set(1)
    for reason in HANDOVER_REASONS:
        fleet_handovers.labels(reason)
    for result in RELOAD_RESULTS:
        accounts_reloads.labels(result)
    for result in REQUEST_RESULTS:
        requests.labels(result)
    for reason in PAUSE_REASONS:
        requests_paused.labels(reason)


def start_account(account: str, topics: list[str]) -> None:
    """Create the account's series with the value 0. `topics` are the full names of the topics of events."""
    for gauge in (
        cometd_connected,
        cometd_ack_extension,
        cometd_hold,
        cometd_subscriptions_refused,
        login_refused,
        login_not_kept,
        kafka_connected,
    ):
        gauge.labels(account)
    for name in (cometd_gaps, event_delivery, operations_pending, operation_acknowledgement, operation_retries):
        name.labels(account)
    for counter, values in (
        (cometd_handshakes, HANDSHAKE_RESULTS),
        (cometd_replies_unusable, UNUSABLE_REPLIES),
        (cometd_watchdog_steps, WATCHDOG_STEPS),
        (events_received, KINDS),
        (events_published, topics),
        (events_dead_lettered, DEAD_LETTER_REASONS),
        (kafka_transactions, TRANSACTION_RESULTS),
        (operations, OPERATION_OUTCOMES),
    ):
        for value in values:
            counter.labels(account, value)


def remove_account(account: str) -> None:
    """Remove the account's series. Call this function when no task of the account runs any more."""
    for metric in _OF_ACCOUNTS:
        metric.remove_by_labels({"account": account})


_OF_ACCOUNTS = (
    cometd_connected,
    cometd_ack_extension,
    cometd_handshakes,
    cometd_last_reply,
    cometd_hold,
    cometd_gaps,
    cometd_subscriptions_refused,
    cometd_watchdog_steps,
    cometd_replies_unusable,
    login_refused,
    login_not_kept,
    events_received,
    events_published,
    events_dead_lettered,
    event_delivery,
    kafka_connected,
    kafka_transactions,
    operations,
    operations_pending,
    operation_acknowledgement,
    operation_retries,
)
