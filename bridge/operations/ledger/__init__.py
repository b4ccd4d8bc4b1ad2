"""The operations' events on Kafka: written, signed, followed, and read with care."""
