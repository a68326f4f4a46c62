"""Translation of rows to flyteidl messages, pure."""
