"""Forwards operations to Web Services, and writes their events to the ledger (the topic `operations.v1`)."""
