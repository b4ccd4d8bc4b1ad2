"""The tests, and the parts that they and the benchmarks share."""
