"""Literals: values, types, bindings and what is computed of them."""
