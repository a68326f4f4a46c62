"""What Python imports by itself in processes whose clock is set."""
