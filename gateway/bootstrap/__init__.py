"""Bootstrap: builds adapters and processes, the only place that does."""
