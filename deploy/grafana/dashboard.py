"""The bridge's Grafana dashboard as code: `make dashboard` writes what this prints to bridge.json.

Every panel says in its description what good looks like. tests/deploy/test_dashboard.py holds each expression against a
Prometheus that scrapes a running bridge.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

PROMETHEUS: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE: Final = 'account=~"$account", instance=~"$instance"'
"""Selects the series of the chosen accounts in the chosen processes."""
ACCOUNT: Final = 'account=~"$account"'
"""Selects the recorded series of the chosen accounts, which cover all processes."""
PROCESS: Final = 'instance=~"$instance"'
BRIDGE: Final = f"on (job, instance) group_left () bridge_build_info{{{PROCESS}}}"
"""Multiplied with a process_* metric, it keeps only the series of the bridge's processes."""
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"
Query = tuple[str, str]
"""An expression, and its series' name in the legend."""
Steps = tuple[tuple[float, str], ...]
"""Pairs of a lowest value and its colour. Values below the first pair are green."""


# -- kinds of panels --------------------------------------------------------------------------------------------------


def number(title: str, description: str, query: Query, unit: str, steps: Steps, *, width: int = 4) -> stat.Panel:
    """A panel with the present value of each account, coloured by thresholds."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").instant())
        .unit(unit)
        .thresholds(_thresholds(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(look.BigValueColorMode.BACKGROUND)
        .graph_mode(look.BigValueGraphMode.NONE)
        .text_mode(look.BigValueTextMode.VALUE_AND_NAME)
        .height(4)
        .span(width)
    )


def state(title: str, description: str, query: Query, meanings: dict[int, tuple[str, str]]) -> stat.Panel:
    """A panel with the present state of each account. `meanings` gives text and colour of each value."""
    return number(title, description, query, "none", ()).mappings(_mappings(meanings))


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, steps: Steps = ()
) -> timeseries.Panel:
    """A panel with values over time. `steps` are drawn as thresholds."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .min(0)
        .fill_opacity(10)
        .show_points(look.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(look.LegendDisplayMode.LIST)
            .placement(look.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003 -- the builder's own
        )
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
        .height(8)
        .span(width)
    )
    for name, query in zip("ABCDEF", queries, strict=False):
        panel.with_target(_target(query, name).range())
    if steps:
        panel.thresholds(_thresholds(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(look.GraphTresholdsStyleMode.DASHED))
    return panel


def bars(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, steps: Steps = ()
) -> timeseries.Panel:
    """A panel with counts over time, for events that are rare or should not happen."""
    return (
        lines(title, description, unit, *queries, width=width, steps=steps)
        .draw_style(look.GraphDrawStyle.BARS)
        .fill_opacity(60)
        .stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
    )


def buckets(title: str, description: str, histogram: str, *, width: int = 8) -> heatmap.Panel:
    """A panel with the distribution of a histogram's observations over its buckets."""
    query = (f"sum by (le) (increase({histogram}_bucket{{{HERE}}}[$__rate_interval]))", "{{le}}")
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").range().format(PromQueryFormat.HEATMAP))
        .calculate(False)  # noqa: FBT003 -- the builder's own
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(look.AxisPlacement.LEFT))
        .unit("short")
        .show_tooltip()
        .height(8)
        .span(width)
    )


def timeline(title: str, description: str, query: Query, meanings: dict[int, tuple[str, str]]) -> statetimeline.Panel:
    """A panel with states over time, one row for each account."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").range())
        .unit("none")
        .mappings(_mappings(meanings))
        .thresholds(_thresholds(()))
        .show_value(look.VisibilityMode.NEVER)
        .height(8)
        .span(8)
    )


def rows(title: str, description: str, query: Query, *, without: tuple[str, ...]) -> table.Panel:
    """A table of an expression's present series, without the columns in `without`."""
    hidden = dict.fromkeys(("Time", "Value", "__name__", *without), True)
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .with_target(_target(query, "A").instant().format(PromQueryFormat.TABLE))
        .with_transformation(model.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden}))
        .unit("none")
        .height(8)
        .span(12)
    )


def _target(query: Query, name: str) -> prometheus.Dataquery:
    expression, legend = query
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(name).datasource(PROMETHEUS)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    colours = [model.Threshold(None, GREEN), *(model.Threshold(value, colour) for value, colour in steps)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(colours)


def _mappings(meanings: dict[int, tuple[str, str]]) -> list[model.ValueMapping]:
    results = {
        str(value): model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(meanings.items())
    }
    return [model.ValueMap(results)]


def rate(counter: str, by: str, *, scope: str = HERE) -> str:
    """The expression for a counter's rate by one label."""
    return f"sum by ({by}) (rate({counter}{{{scope}}}[$__rate_interval]))"


def increase(counter: str, by: str, *, scope: str = HERE) -> str:
    """The expression for a counter's increase by one label."""
    return f"sum by ({by}) (increase({counter}{{{scope}}}[$__rate_interval]))"


def quantile(share: float, histogram: str, by: str = "", *, scope: str = HERE) -> str:
    """The expression for a histogram's quantile."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{{{scope}}}[$__rate_interval])))"


# -- what the dashboard shows -----------------------------------------------------------------------------------------

CONNECTION: Final = f"max by (account) (bridge_cometd_connected{{{HERE}}})"
LAST_REPLY: Final = f"min by (account) (time() - (bridge_cometd_last_reply_timestamp_seconds{{{HERE}}} > 0))"
HOLD: Final = f"max by (account) (bridge_cometd_hold_seconds{{{HERE}}})"
PUBLISHED: Final = f"bridge_events_published_total{{{HERE}}}"
COMMITTED: Final = f'bridge_kafka_transactions_total{{result="committed", {HERE}}}'
DELIVERY: Final = "bridge_event_delivery_seconds"
ACKNOWLEDGEMENT: Final = "bridge_operation_acknowledgement_seconds"
CALLS: Final = f'route!~"/metrics|/health/.*", {PROCESS}'

FLOW: Final[list[Builder[model.Panel]]] = [
    state(
        "CometD session",
        "Shows whether each account's session is connected. Good: connected, with one process for each account.",
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

OPERATIONS: Final[list[Builder[model.Panel]]] = [
    lines(
        "Operations by outcome",
        "Operations by outcome. Good: accepted and acknowledged are equal. Rejected, failed and timed-out are near 0.",
        "ops",
        (rate("bridge_operations_total", "outcome"), "{{outcome}}"),
    ),
    buckets(
        "From acceptance to acknowledgement",
        "Time until Web Services acknowledged an operation. Good: under 1 s. Operations over 30 s timed out first.",
        ACKNOWLEDGEMENT,
    ),
    lines(
        "From acceptance to acknowledgement, quantiles",
        "Quantiles of the time from acceptance to acknowledgement. Good: the 99th percentile stays under the objective "
        "of 5 s.",
        "s",
        (quantile(0.5, ACKNOWLEDGEMENT), "p50"),
        (quantile(0.99, ACKNOWLEDGEMENT), "p99"),
        steps=((5, RED),),
    ),
    lines(
        "Operations pending",
        "Operations that wait for an acknowledgement. Good: falls back to 0. Each operation ends within the time-out.",
        "short",
        (f"max by (account) (bridge_operations_pending{{{HERE}}})", "{{account}}"),
    ),
    bars(
        "Requests tried again",
        "Requests that the bridge repeated because Web Services was not reached or did not answer. Good: none.",
        "short",
        (increase("bridge_operation_retries_total", "account"), "{{account}}"),
    ),
    bars(
        "Operation events not in Kafka",
        "Events of operations that wait for Kafka (waiting), that were lost because the bridge's memory was full "
        "(lost), or that are in Kafka but have no room in the view (left out). Good: 0.",
        "short",
        (f"sum by (instance) (bridge_operation_events_waiting{{{PROCESS}}})", "waiting {{instance}}"),
        ("job:bridge_operation_events_lost:increase1h", "lost in the last hour"),
        ("job:bridge_operation_events_left_out:increase1h", "left out in the last hour"),
    ),
]

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
        (increase("bridge_records_unreadable_total", "topic", scope=PROCESS), "unreadable {{topic}}"),
        (increase("bridge_records_untrusted_total", "topic", scope=PROCESS), "untrusted {{topic}}"),
    ),
]

INGRESS: Final[list[Builder[model.Panel]]] = [
    lines(
        "Requests by status",
        "REST requests of callers. Good: 200 and 202. 5xx and 429 need a look. Other 4xx are callers' faults.",
        "reqps",
        (rate("bridge_http_request_seconds_count", "status", scope=CALLS), "{{status}}"),
    ),
    lines(
        "Requests by route",
        "Good: the callers' usual pattern.",
        "reqps",
        (rate("bridge_http_request_seconds_count", "method, route", scope=CALLS), "{{method}} {{route}}"),
    ),
    lines(
        "99th percentile by route",
        "Time that requests take, including the wait for the acknowledgement if the caller asked for it. Good: well "
        "under 1 s.",
        "s",
        (quantile(0.99, "bridge_http_request_seconds", "method, route", scope=CALLS), "{{method}} {{route}}"),
    ),
]

PROCESSES: Final[list[Builder[model.Panel]]] = [
    lines(
        "CPU",
        "CPU cores in use. The relay can use one core. Good: well under 1.",
        "none",
        (f"rate(process_cpu_seconds_total[$__rate_interval]) * {BRIDGE}", "{{instance}}"),
        width=6,
        steps=((0.9, RED),),
    ),
    lines(
        "Memory",
        "Resident memory. Good: flat. A large reply after an outage raises it. The reply's size limits this step.",
        "bytes",
        (f"process_resident_memory_bytes * {BRIDGE}", "{{instance}}"),
        width=6,
    ),
    lines(
        "Open files",
        "Open files as a share of the process's limit. Good: flat, and far from 1.",
        "percentunit",
        (f"process_open_fds / process_max_fds * {BRIDGE}", "{{instance}}"),
        width=6,
        steps=((0.8, RED),),
    ),
    lines(
        "Running for",
        "Time since the process started. Good: it falls back to 0 only at a planned restart.",
        "s",
        (f"(time() - process_start_time_seconds) * {BRIDGE}", "{{instance}}"),
        width=6,
    ),
]

ALERTS: Final[list[Builder[model.Panel]]] = [
    rows(
        "Alerts",
        "The bridge's alerts that fire or are pending. Good: empty. The runbook has a section for each alert.",
        ('ALERTS{alertname=~"Bridge.+"}', ""),
        without=("instance", "job"),
    ),
    rows(
        "Versions",
        "The version of each process. Good: one version, except during an update.",
        (f"bridge_build_info{{{PROCESS}}}", ""),
        without=(),
    ),
]

ROWS: Final = {
    "Is it flowing": FLOW,
    "Sessions, holds and gaps": SESSIONS,
    "Operations": OPERATIONS,
    "Kafka": KAFKA,
    "REST ingress": INGRESS,
    "Process": PROCESSES,
    "Alerts and versions": ALERTS,
}


def build() -> model.Dashboard:
    """Put the dashboard together."""
    board = (
        dashboard.Dashboard("CometD to Kafka bridge")
        .uid("cometd-kafka-bridge")
        .description("Shows whether Web Services' events and acknowledgements reach Kafka, and what prevents it.")
        .tags(["bridge", "cometd", "kafka"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("account", "Account", "label_values(bridge_cometd_connected, account)"))
        .with_variable(_choice("instance", "Instance", "label_values(bridge_build_info, instance)"))
        .annotation(
            dashboard.AnnotationQuery()
            .name("Gaps")
            .datasource(PROMETHEUS)
            .enable(True)  # noqa: FBT003 -- the builder's own
            .icon_color(RED)
            .expr(f"sum by (account) (increase(bridge_cometd_gaps_total{{{HERE}}}[$__rate_interval])) > 0")
        )
    )
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title))
        for one in panels:
            board.with_panel(one)
    whole = board.build()
    for identity, panel in enumerate(whole.panels or [], start=1):
        panel.id_val = identity
    return whole


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)  # noqa: FBT003 -- the builder's own
        .include_all(True)  # noqa: FBT003 -- the builder's own
        .all_value(".*")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def text() -> str:
    """Render the dashboard as Grafana reads it."""
    return json.dumps(build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
