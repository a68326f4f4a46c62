"""Commands on executions, their values and their cached outputs."""
