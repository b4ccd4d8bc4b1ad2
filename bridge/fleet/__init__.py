"""The fleet: replicas that share the slots among them, held together by a Kafka consumer group."""
