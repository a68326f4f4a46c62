"""Tests: unit/infra/eventlog."""
