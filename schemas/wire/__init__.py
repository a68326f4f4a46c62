"""The wire format: codec, registry of messages, generator of Avro schemas."""
