"""Counters: a second kind of stream, as small as one can be, for tests of the seam."""
