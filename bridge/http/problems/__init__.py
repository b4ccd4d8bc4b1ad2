"""Problem details (RFC 9457): the catalogue of codes, and how each is made."""
