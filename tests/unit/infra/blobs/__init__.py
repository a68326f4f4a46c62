"""Tests: unit/infra/blobs."""
