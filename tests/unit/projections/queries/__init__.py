"""Tests: unit/projections/queries."""
