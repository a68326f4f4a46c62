"""Groups of commands: their options and help."""
