"""Tests: unit/workers/runner."""
