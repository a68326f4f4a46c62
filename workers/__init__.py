"""Workers: propeller, runner with its plugins, and operations on the log."""
