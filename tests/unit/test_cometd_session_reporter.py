"""What the metrics say of an account's CometD session."""

from prometheus_client import REGISTRY

from bridge.cometd.messages.batch import Opening
from bridge.cometd.session_reporter import SessionReporter

OUTBOUND = "/v2/me/outbound"
GAUGES = ("bridge_cometd_connected", "bridge_cometd_ack_extension", "bridge_cometd_subscriptions_refused")


def gauges() -> list[float | None]:
    return [REGISTRY.get_sample_value(name, {"account": "reported"}) for name in GAUGES]


def test_a_session_that_is_let_go_leaves_no_value_behind() -> None:
    """Another replica may continue the session, so this one must say nothing of it any more."""
    reporter = SessionReporter("reported", [OUTBOUND])
    reporter.began(Opening("client", resumed=False, ack_extension=True, reason="start"))
    reporter.connected()
    reporter.subscriptions(
        [{"channel": "/meta/subscribe", "subscription": OUTBOUND, "successful": False, "error": "403::"}]
    )
    assert gauges() == [1, 1, 1]
    reporter.stopped()
    assert gauges() == [0, 0, 0]
