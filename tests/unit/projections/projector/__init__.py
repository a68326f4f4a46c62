"""Tests: unit/projections/projector."""
