"""Commands of `flightlog`, one file each."""
