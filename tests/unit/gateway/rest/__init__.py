"""Tests: unit/gateway/rest."""
