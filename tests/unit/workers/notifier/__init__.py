"""Tests of the registry's deciders."""
