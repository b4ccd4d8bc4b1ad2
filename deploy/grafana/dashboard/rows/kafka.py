"""Kafka: transactions, and records that Kafka or the bridge refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import HERE, PROCESS, increase, most, rate
from deploy.grafana.dashboard.panels import bars, lines

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

PUBLISHED: Final = f"bridge_events_published_total{{{HERE}}}"
COMMITTED: Final = f'bridge_kafka_transactions_total{{result="committed", {HERE}}}'

KAFKA: Final[list[Builder[model.Panel]]] = [
    lines(
        "Transactions by result",
        "Good: only committed. After an unknown result the bridge reads from Kafka whether the transaction was "
        "committed, so nothing comes twice.",
        "ops",
        (rate("bridge_kafka_transactions_total", "result"), "{{result}}"),
    ),
    lines(
        "Records in a transaction",
        "Mean number of records in a transaction. Good: rises with the load, up to some 2,000, because larger "
        "transactions let the bridge relay more events.",
        "short",
        (f"sum(rate({PUBLISHED}[$__rate_interval])) / sum(rate({COMMITTED}[$__rate_interval]))", "records"),
    ),
    bars(
        "Dead letters, and records without effect",
        "Records that Kafka refused because of their size or content, by reason, and records that the bridge read and "
        "could not understand or trust. Good: none. `bridge dead-letters list` shows the refused records.",
        "short",
        (increase("bridge_events_dead_lettered_total", "account, reason"), "{{account}} {{reason}}"),
        (most("bridge_records_unreadable_total", "topic", scope=PROCESS), "unreadable {{topic}}"),
        (most("bridge_records_untrusted_total", "topic", scope=PROCESS), "untrusted {{topic}}"),
    ),
    lines(
        "Days that Kafka keeps records",
        "Days that the topics with the evidence of requests keep their records. Good: five years (1,826 days) or more, "
        "or an archive is written, so that nothing is at risk. If at risk is 1, run bridge evidence archive daily.",
        "none",
        (f"min by (topic) (bridge_topic_retention_seconds{{{PROCESS}}}) / 86400", "{{topic}}"),
        ("job:bridge_evidence_at_risk:max", "at risk"),
    ),
]
