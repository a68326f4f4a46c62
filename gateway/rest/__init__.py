"""REST: the same services over HTTP."""
