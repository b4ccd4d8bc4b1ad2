"""Unexpected errors at each seam between the bridge and the world, at each of the first calls in turn."""
