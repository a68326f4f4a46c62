"""Node kinds: how a node of each kind is entered and goes on."""
