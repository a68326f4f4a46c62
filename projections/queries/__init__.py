"""Queries of the read models: what gateway and workers read."""
