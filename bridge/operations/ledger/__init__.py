"""The ledger: the topic `operations.v1` with the operations' events. Writes, signs, reads and checks these events."""
