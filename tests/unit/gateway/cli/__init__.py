"""Tests: unit/gateway/cli."""
