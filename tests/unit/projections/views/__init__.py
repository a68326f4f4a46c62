"""Tests: unit/projections/views."""
