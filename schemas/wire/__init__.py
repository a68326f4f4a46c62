"""Wire format: the codec, the table of messages and their Avro schemas."""
