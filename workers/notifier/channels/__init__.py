"""Channels: what carries a message, and what providers' answers mean."""
