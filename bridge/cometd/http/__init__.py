"""The HTTP client of an account: requests, replies, cookies, certificates and proxy."""
