"""State of an execution: what is folded from its events, and derived from the fold."""
