"""The door: gRPC, REST, command line."""
