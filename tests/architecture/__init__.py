"""Tests that hold the house in shape: floors, tidiness, vocabulary."""
