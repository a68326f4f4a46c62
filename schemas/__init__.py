"""Schemas: messages, ids, phases, and their Avro wire format."""
