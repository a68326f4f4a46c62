"""Tests: unit/workers."""
