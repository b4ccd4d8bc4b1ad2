"""Prints the dashboard as Grafana reads it."""

import sys

from deploy.grafana.dashboard import text

sys.stdout.write(text())
