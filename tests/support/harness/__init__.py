"""Harnesses: parts of the engine as tests build and drive them."""
