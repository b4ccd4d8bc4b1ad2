"""The ledger: appends records to Kafka topics and follows one topic (the operations topic)."""
