"""The Kafka client: connections, producers, consumers, topics, rights and failures."""
