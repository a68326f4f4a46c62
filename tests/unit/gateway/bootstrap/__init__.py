"""Tests: unit/gateway/bootstrap."""
