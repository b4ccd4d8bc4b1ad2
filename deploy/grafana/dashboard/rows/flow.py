"""Is it flowing: the present state, and the way from reply to commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import ACCOUNT, CONNECTION, HERE, HOLD, quantile, rate
from deploy.grafana.dashboard.panels import GREEN, ORANGE, RED, buckets, lines, number, state

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

LAST_REPLY: Final = f"min by (account) (time() - (bridge_cometd_last_reply_timestamp_seconds{{{HERE}}} > 0))"
DELIVERY: Final = "bridge_event_delivery_seconds"

FLOW: Final[list[Builder[model.Panel]]] = [
    state(
        "CometD session",
        "Shows whether each account's session is connected. Good: connected. In a fleet one replica has the session.",
        (CONNECTION, "{{account}}"),
        {0: ("down", RED), 1: ("connected", GREEN)},
    ),
    state(
        "Kafka",
        "Shows whether Kafka takes each account's records. Good: writable.",
        (f"max by (account) (bridge_kafka_connected{{{HERE}}})", "{{account}}"),
        {0: ("away", RED), 1: ("writable", GREEN)},
    ),
    number(
        "Last reply",
        "Time since the CometD server's last answer in the session. Good: under 10 s, even without events, because the "
        "server also answers the bridge's keep-alive messages.",
        (LAST_REPLY, "{{account}}"),
        "s",
        ((15, ORANGE), (60, RED)),
    ),
    number(
        "Held batch",
        "Time that a reply's events have been waiting for Kafka. Good: 0, or milliseconds.",
        (HOLD, "{{account}}"),
        "s",
        ((3, ORANGE), (60, RED)),
    ),
    state(
        "Acknowledgement extension",
        "Shows whether the CometD server keeps events until they are acknowledged. Exactly once needs this. Good: on.",
        (f"max by (account) (bridge_cometd_ack_extension{{{HERE}}})", "{{account}}"),
        {0: ("off", ORANGE), 1: ("on", GREEN)},
    ),
    number(
        "Firing alerts",
        "Number of the bridge's alerts that fire now. The table at the bottom lists them. Good: 0.",
        ('count(ALERTS{alertname=~"Bridge.+", alertstate="firing"}) or vector(0)', "alerts"),
        "none",
        ((1, RED),),
    ),
    lines(
        "Events in",
        "Events received over CometD, by kind. Good: the site's usual pattern, and no unrecognized events.",
        "ops",
        (rate("bridge_events_received_total", "kind"), "{{kind}}"),
    ),
    lines(
        "Records out",
        "Records that Kafka has committed, by topic. Good: the same pattern as Events in, and no dead letters.",
        "ops",
        (rate("bridge_events_published_total", "topic"), "{{topic}}"),
    ),
    buckets(
        "From reply to commit",
        "Time of each reply from its arrival to Kafka's commit. Good: nearly all under 50 ms. After an outage of Kafka "
        "the reply that the bridge held appears as one slow observation.",
        DELIVERY,
    ),
    lines(
        "From reply to commit, quantiles",
        "Quantiles of the time from reply to commit. Good: the 99th percentile stays under the objective of 1 s.",
        "s",
        (quantile(0.5, DELIVERY), "p50"),
        (quantile(0.95, DELIVERY), "p95"),
        (quantile(0.99, DELIVERY), "p99"),
        steps=((1, RED),),
    ),
    lines(
        "Age of the last reply",
        "Time since the CometD server's last answer. Good: a sawtooth under 10 s. A steady rise means no answers.",
        "s",
        (LAST_REPLY, "{{account}}"),
        steps=((60, RED),),
    ),
    lines(
        "Share of slow replies against the objective",
        "How fast the month's budget of slow replies (1 % over 1 s) is spent. At 1 it is spent in a month, at 14.4 in "
        "two days. Good: under 1.",
        "none",
        (f"account:bridge_event_delivery_slow:ratio_rate5m{{{ACCOUNT}}} / 0.01", "{{account}} 5 min"),
        (f"account:bridge_event_delivery_slow:ratio_rate1h{{{ACCOUNT}}} / 0.01", "{{account}} 1 h"),
        steps=((1, ORANGE), (14.4, RED)),
    ),
]
