"""How far an account's relay has come: the position, its keys and its seal, and how it is read back."""
