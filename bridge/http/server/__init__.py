"""Runs uvicorn with the bridge's limits on connections and time."""
