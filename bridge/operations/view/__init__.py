"""What this process knows of all operations."""
