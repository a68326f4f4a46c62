"""Sessions: what commands open to work with an engine's data."""
