"""Weights of the loss network: read, checked, fetched, kept."""
