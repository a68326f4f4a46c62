"""Telemetry of the gateway: metrics as they are served, and health."""
