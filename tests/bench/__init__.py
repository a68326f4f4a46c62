"""Numbers of this machine: `make bench`. Never run as tests."""
