"""The parts of an engine, built the same way for one process or several.

Each in a module of its own: a role imports only what it runs.
"""
