"""The fleet: replicas that share the slots among them, held together by a Kafka consumer group."""

from bridge.fleet.fleet import Accounts, Fleet

__all__ = ["Accounts", "Fleet"]
