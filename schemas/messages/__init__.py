"""Messages: what travels on the topics, one class for each message."""
