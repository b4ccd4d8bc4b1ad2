"""What becomes of the figures: comparisons, the table, RESULTS.md and results.json."""
