"""Tests of decisions on the registry."""
