"""Publishes records and the position in one transaction."""
