"""Tests: unit/gateway/rpc."""
