"""Rules of notifications: who is told of what, once; pure."""
