"""Gateway: gRPC, REST, the command line, and the bootstrap of processes."""
