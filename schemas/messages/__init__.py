"""Messages on the topics, one class for each."""
