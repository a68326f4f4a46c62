"""One contract, two logs: what every adapter must keep."""
