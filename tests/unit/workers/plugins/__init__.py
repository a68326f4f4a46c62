"""Tests: unit/workers/plugins."""
