"""Reads the requests of callers: headers, bodies and submissions."""
