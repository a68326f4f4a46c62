"""Chaos: an engine of many processes under faults from a seed, checked from outside."""
