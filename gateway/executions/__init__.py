"""Executions: created, terminated, looked up, with their data and logs."""
