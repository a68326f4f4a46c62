"""Commands that start processes, or look at running ones."""
