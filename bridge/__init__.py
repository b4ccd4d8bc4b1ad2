"""Exactly-once bridge from Genesys Web Services (REST and CometD) to Apache Kafka."""

__version__ = "0.1.0"
