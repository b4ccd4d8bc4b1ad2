"""Parses the replies of a CometD server, and defines the batches of events."""
