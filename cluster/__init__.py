"""Ray clusters: where the work runs."""
