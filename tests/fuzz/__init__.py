"""Bytes of outsiders against each parser: `make fuzz` runs this for longer than continuous integration does."""
