"""Postgres: connection pools, the embedded server, the event store's recorder."""
