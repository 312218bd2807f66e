"""Training a generator with Ray Train."""
