"""Brings operations to Web Services, and writes down what becomes of each."""
