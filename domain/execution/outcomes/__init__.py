"""Outcomes: how nodes and executions end, are tried again, recovered or cached."""
