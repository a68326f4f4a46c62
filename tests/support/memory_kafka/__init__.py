"""A Kafka in memory: a broker, and aiokafka's clients of it."""
