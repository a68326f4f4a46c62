"""Tests: unit/domain/execution/state."""
