"""`python -m gateway.cli`: the same as `flightlog`."""

from gateway.cli.main import main

main()
