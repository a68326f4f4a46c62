"""Endurance: an embedded engine under faults of its machine, watched from outside.

`make test` runs them briefly, `make endurance` for as long as the faults are in life.
"""
