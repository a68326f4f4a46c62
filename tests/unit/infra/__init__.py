"""The pipes under test."""
