"""Tests: unit/gateway/rest/routes."""
