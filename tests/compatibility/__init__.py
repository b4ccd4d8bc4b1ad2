"""End-to-end runs with other versions of the bridge's neighbours: `make compatibility`."""
