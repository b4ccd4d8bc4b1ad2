"""What is compared: the bridge in its ways of working, and the Java bridge in three."""
