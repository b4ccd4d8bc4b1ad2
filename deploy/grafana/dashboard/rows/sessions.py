"""The CometD sessions: their states, handshakes, gaps, and held batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deploy.grafana.dashboard.expressions import ACCOUNT, CONNECTION, HERE, HOLD, increase
from deploy.grafana.dashboard.panels import GREEN, ORANGE, RED, bars, lines, timeline

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import dashboard as model

SESSIONS: Final[list[Builder[model.Panel]]] = [
    timeline(
        "Sessions by account",
        "Connected, down, or holding a batch for Kafka, over time. Good: an unbroken green row for each account, also "
        "across restarts.",
        (f"{CONNECTION} + ({HOLD} > bool 3)", "{{account}}"),
        {0: ("down", RED), 1: ("connected", GREEN), 2: ("holding", ORANGE)},
    ),
    bars(
        "Handshakes",
        "New CometD sessions by result. Good: one ok at the first start, none later. A restart resumes the session.",
        "short",
        (increase("bridge_cometd_handshakes_total", "account, result"), "{{account}} {{result}}"),
    ),
    bars(
        "Gaps in the last hour",
        "Sessions that the server dropped with its queued events. These events are lost, and a gap event reports this. "
        "Good: 0.",
        "short",
        (f"account:bridge_cometd_gaps:increase1h{{{ACCOUNT}}}", "{{account}}"),
    ),
    lines(
        "Batches held for Kafka",
        "Time that the bridge has been holding a batch for Kafka. Good: always 0. A steady rise is an outage of Kafka.",
        "s",
        (HOLD, "{{account}}"),
        steps=((60, RED),),
    ),
    lines(
        "Events waiting on the CometD server",
        "An estimate while the bridge holds a batch: the batch's age times the event rate of the busiest five minutes "
        "in six hours. Good: 0.",
        "short",
        (f"account:bridge_cometd_queue_estimate:events{{{ACCOUNT}}}", "{{account}}"),
        steps=((200_000, RED),),
    ),
    lines(
        "Time left until the queue holds 200,000 events",
        "An estimate at the event rate of the busiest five minutes in six hours. In a test 200,000 queued events "
        "arrived. The true limit is the server's memory. Good: hours.",
        "s",
        (f"account:bridge_cometd_queue_left:seconds{{{ACCOUNT}}}", "{{account}}"),
    ),
    bars(
        "Watchdog and unusable replies",
        "Steps of the watchdog against sessions that look connected but deliver nothing, and replies that the bridge "
        "could not take. Good: none. A new-session loses the queued events.",
        "short",
        (increase("bridge_cometd_watchdog_steps_total", "account, step"), "{{account}} {{step}}"),
        (increase("bridge_cometd_replies_unusable_total", "account, reason"), "{{account}} {{reason}}"),
    ),
    lines(
        "Refused subscriptions",
        "Channels that the server does not let the account subscribe to. Good: 0.",
        "short",
        (f"max by (account) (bridge_cometd_subscriptions_refused{{{HERE}}})", "{{account}}"),
        steps=((1, RED),),
    ),
    lines(
        "Logins refused or not kept",
        "1 while Web Services refuses the account's name or password, or forgets each login. Good: 0.",
        "short",
        (f"max by (account) (bridge_login_refused{{{HERE}}})", "{{account}} refused"),
        (f"max by (account) (bridge_login_not_kept{{{HERE}}})", "{{account}} not kept"),
        steps=((1, RED),),
    ),
]
