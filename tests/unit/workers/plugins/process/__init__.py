"""Tests: unit/workers/plugins/process."""
