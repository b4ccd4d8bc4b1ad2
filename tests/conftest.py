"""Fixtures and settings for every test."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.real.fixtures", "tests.side_by_side", "tests.unit.served"]

# A busy machine makes an example slow. How long an example takes is no rule of the bridge.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")
