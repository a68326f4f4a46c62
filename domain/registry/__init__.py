"""Deciders of the registry: projects, tasks, workflows, launch plans."""
