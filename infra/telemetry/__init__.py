"""Telemetry: what every role counts and measures."""
