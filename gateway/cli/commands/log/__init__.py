"""Commands on the event log and the read models that follow it."""
