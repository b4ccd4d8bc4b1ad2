"""Parses the messages that CometD delivers: acknowledgements, user events, and unknown messages."""
