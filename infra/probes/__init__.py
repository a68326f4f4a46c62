"""Probes: ask again and again whether what the engine needs can be reached."""
