"""The rows of the dashboard, one module for each subject."""
