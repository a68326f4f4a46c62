"""The door: gRPC, REST, CLI, and the wiring of the embedded engine."""
