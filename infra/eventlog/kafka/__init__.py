"""The event log on Kafka: the log that processes of several roles share."""
