"""Tests: unit/domain/literals."""
