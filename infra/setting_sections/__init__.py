"""Sections of the settings, each a table of the file."""
