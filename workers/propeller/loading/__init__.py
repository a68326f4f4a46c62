"""Loading: what a command needs before it can be decided."""
