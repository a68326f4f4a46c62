"""The propeller: turns commands into events, both committed in one transaction."""
