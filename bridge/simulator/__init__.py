"""A simulator of Web Services (REST and CometD) for the demo and for tests, with faults to switch on and off.

The simulator behaves like the real server, as far as the behaviour is documented or was measured. The package imports
no other package of the bridge.
"""

from bridge.simulator.broker import EmbeddedBroker
from bridge.simulator.faults import Fault
from bridge.simulator.server import Simulator

__all__ = ["EmbeddedBroker", "Fault", "Simulator"]
