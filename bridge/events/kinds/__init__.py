"""One module for each kind of event: its struct, topic, type and schema."""
