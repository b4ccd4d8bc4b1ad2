"""Requests by Kafka: the records of the topic `requests.v1` become operations, like REST calls."""

from bridge.requests.consumer import RequestConsumer
from bridge.requests.from_settings import request_consumer, request_topics, requests_group

__all__ = ["RequestConsumer", "request_consumer", "request_topics", "requests_group"]
