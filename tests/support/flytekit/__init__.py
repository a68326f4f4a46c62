"""Workflows and tasks written with flytekit, and the graphs compiled from them."""
