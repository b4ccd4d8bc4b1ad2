"""The relay: publishes the events of one account's CometD session to Kafka, each event exactly once."""

from bridge.relay.in_flight import InFlight, InFlightBatch, is_open_to_others, make_writable
from bridge.relay.relay import Relay
from bridge.relay.watchdog import Watchdog

__all__ = [
    "InFlight",
    "InFlightBatch",
    "Relay",
    "Watchdog",
    "is_open_to_others",
    "make_writable",
]
