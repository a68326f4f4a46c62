"""Executions: created, terminated, looked up, with their values and logs."""
