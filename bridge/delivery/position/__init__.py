"""The position of an account's relay: its content, its encryption and signature, and its reader."""
