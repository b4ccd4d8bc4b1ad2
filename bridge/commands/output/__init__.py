"""Modules for commands that read records from Kafka and print them."""
