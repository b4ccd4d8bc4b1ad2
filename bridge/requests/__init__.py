"""Requests by Kafka: the records of the topic `requests.v1` become operations, like REST calls."""

from bridge.requests.consumer import RequestConsumer
from bridge.requests.from_settings import request_consumer, request_topics, requests_group
from bridge.requests.reading import RequestReading
from bridge.requests.refusals import Refusals

__all__ = [
    "Refusals",
    "RequestConsumer",
    "RequestReading",
    "request_consumer",
    "request_topics",
    "requests_group",
]
