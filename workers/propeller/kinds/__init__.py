"""Kinds of streams: what the propeller is told of each, in one value a kind."""
