"""Writes, signs, stamps and verifies the file of a bundle."""
