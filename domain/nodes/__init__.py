"""What entering a node means, one module for each kind of node."""
