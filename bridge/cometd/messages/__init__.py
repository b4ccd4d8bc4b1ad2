"""Bayeux messages as they come, and the batches that are handed over."""
