"""The gateway: gRPC, REST, command line."""
