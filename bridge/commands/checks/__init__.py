"""Each module here checks one thing that the bridge depends on."""
