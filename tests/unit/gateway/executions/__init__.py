"""Tests: unit/gateway/executions."""
