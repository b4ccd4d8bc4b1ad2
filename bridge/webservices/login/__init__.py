"""The login of one account, the CSRF token, and who the account is."""
