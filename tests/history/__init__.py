"""History: what the log holds against what clients were told, checked from outside."""
