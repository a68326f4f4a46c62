"""Node kinds: how a node of each kind starts, and continues."""
