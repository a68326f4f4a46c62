"""Folds: how each event changes the state of its execution, a function for each."""
