"""The runner: carries out dispatches and reports what came of them."""
