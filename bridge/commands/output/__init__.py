"""Reads records from Kafka and prints the records, for several commands."""
