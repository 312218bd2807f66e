"""Units of work, threads beside one another, and progress."""
