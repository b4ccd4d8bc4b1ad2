"""Ends the operations whose acknowledgement does not come."""
