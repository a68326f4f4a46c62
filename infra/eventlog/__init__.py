"""The event log: its contract, and the adapters for Postgres, Kafka and files."""
