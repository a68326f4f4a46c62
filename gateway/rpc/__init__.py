"""gRPC: the server and the services of flyteidl."""
