"""Tests: unit/gateway/services."""
