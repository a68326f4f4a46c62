"""The notifier: reads events, writes what is due, and sends it to channels."""
