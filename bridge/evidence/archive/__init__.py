"""The archive: a file of records for each day, and a chain of signed manifests."""
