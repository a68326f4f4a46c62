"""Components: real Postgres, Kafka and S3 for tests, found or started."""
