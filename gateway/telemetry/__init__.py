"""Telemetry of the gateway: metrics as they are exposed, and health."""
