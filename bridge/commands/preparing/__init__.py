"""Prepares a first start: the file of settings, and the topics and rights in Kafka."""
