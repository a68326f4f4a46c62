"""The event log on Postgres: the log of the embedded engine."""
