"""Tests: unit/domain/execution."""
