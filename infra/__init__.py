"""Adapters to the outside: event log, Postgres, blobs, telemetry, settings."""
