"""Serves the REST side: sockets, connections and their limits."""
