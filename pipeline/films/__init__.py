"""Films as users name them, and what became of each."""
