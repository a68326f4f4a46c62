"""Tests: unit/workers/operations."""
