"""Tests of the repository itself: layers, tidiness, vocabulary, documents."""
