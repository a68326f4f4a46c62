"""Tests: unit/workers/propeller."""
