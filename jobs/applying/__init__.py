"""Applying a network to films and pictures: from a specification to workers."""
