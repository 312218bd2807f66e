"""The other ways to apply a network, and the workers of them all."""
