"""The state of all operations, kept in memory."""
