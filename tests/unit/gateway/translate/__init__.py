"""Tests: unit/gateway/translate."""
