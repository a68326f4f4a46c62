"""Each role as a process of its own."""
