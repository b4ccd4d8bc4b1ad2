"""Authentication and authorisation of callers, protection against other web sites, and a limit for each caller."""
