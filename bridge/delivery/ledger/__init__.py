"""Appends to one topic and follows it."""
