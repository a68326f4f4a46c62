"""End to end: whole engines, driven by the real flytekit."""
