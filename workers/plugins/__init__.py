"""Plugins: how attempts of tasks are really carried out."""
