"""Publishes the accounts' records and positions to Kafka.

A slot is a partition of the position topic `bridge-state`, with the accounts that hash to it. The accounts of a slot
share their transactions, and a new bridge takes them over together.
"""
