"""Reads what arrives by CometD: acknowledgements, user events, and everything else."""
