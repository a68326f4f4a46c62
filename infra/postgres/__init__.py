"""Postgres: connection pools, the embedded server, the recorder of event tables."""
