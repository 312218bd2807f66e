"""The generators, and what they are made of."""
