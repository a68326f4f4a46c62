"""The registry: projects, entities, launch plans and names, written by events."""
