"""The bridge beside a Java bridge, on the real CometD server and the real Kafka: `make bench`."""
