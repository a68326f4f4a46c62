"""Virtual time, and processes in it that freeze, die, and have clocks that jump."""
