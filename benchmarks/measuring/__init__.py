"""The instruments: processes, topics, traffic, REST calls, and the figures of several rounds."""
