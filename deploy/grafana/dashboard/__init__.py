"""The bridge's Grafana dashboard as code: `make dashboard` writes what this package prints to bridge.json.

Every panel says in its description what good looks like. tests/deploy/test_dashboard.py holds each expression against a
Prometheus that scrapes a running bridge.
"""

from deploy.grafana.dashboard.board import text

__all__ = ["text"]
