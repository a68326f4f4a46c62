"""Parts with their real neighbours: Postgres, gRPC channels, flytekit's clients."""
