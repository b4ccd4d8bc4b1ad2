"""How commands read records and show them."""
