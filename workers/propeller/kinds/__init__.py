"""Kinds of streams: what the propeller needs of each, as one value a kind."""
