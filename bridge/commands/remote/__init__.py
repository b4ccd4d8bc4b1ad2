"""Asks a running bridge over its REST API."""
