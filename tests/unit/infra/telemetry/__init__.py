"""Metrics that roles record."""
