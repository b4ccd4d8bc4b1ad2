"""What `bridge check` looks at, one module a side."""
