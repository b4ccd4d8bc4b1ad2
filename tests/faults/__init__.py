"""The fault suite: the bridge as a process between the real CometD server and the real Kafka, and what may go wrong."""
