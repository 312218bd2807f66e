"""Commands sent to a cluster as jobs."""
