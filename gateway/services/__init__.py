"""What requests are served with: submission, compilation, concurrency, errors."""
