"""All code of the bridge that uses private parts of aiokafka. Other modules use only aiokafka's public interface.

The code works with aiokafka 0.14, the only version that pyproject.toml allows. tests/unit/test_aiokafka_internals.py
has a test for each private part. Before you allow a newer aiokafka, run these tests with the newer version.
"""
