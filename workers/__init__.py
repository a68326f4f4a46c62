"""The hands: propeller, runner and its plugins."""
