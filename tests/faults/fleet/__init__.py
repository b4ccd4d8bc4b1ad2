"""Several replicas share the accounts: each fault of one of them, of all of them, and of Kafka."""
