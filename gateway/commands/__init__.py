"""The words of the command line, one module a theme."""
