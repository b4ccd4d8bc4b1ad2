"""Error responses as problem details (RFC 9457), and the catalogue of their codes."""
