"""A stand-in Web Services (REST and CometD) with switchable faults, for the demo and for tests.

It behaves as the real server does where that was measured or is documented, and knows nothing of the bridge.
"""

from bridge.simulator.broker import EmbeddedBroker
from bridge.simulator.faults import Fault, Faults
from bridge.simulator.server import Simulator

__all__ = ["EmbeddedBroker", "Fault", "Faults", "Simulator"]
