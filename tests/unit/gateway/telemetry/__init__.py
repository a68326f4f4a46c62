"""Metrics as they are exposed, and health."""
