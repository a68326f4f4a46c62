"""The registry: projects, entities, launch plans and names, each with its events."""
