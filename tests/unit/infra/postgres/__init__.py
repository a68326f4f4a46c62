"""Tests: unit/infra/postgres."""
