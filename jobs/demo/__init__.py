"""The demo and its clip."""
