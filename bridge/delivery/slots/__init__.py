"""Publishes records and positions: slots, their group commit and fencing, and how accounts are taken over."""
