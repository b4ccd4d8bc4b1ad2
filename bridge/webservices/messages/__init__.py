"""What arrives by CometD, read: acknowledgements, user events, and everything else."""
