"""The pipes: logs, Postgres, blobs, telemetry, settings."""
