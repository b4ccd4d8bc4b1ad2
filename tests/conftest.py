"""Fixtures for every test."""

pytest_plugins = ["tests.real.fixtures", "tests.side_by_side"]
