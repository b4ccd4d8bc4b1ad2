"""Publishes records and positions: which slot an account belongs to, group commit, fencing, and taking accounts over."""
