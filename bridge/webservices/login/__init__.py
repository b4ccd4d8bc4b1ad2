"""The login of one account, its CSRF token and its profile (features and devices)."""
