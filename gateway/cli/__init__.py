"""The command line: `flightlog` and its commands."""
