"""Templates to checked, compiled closures (ref §3)."""
