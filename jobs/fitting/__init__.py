"""Fitting a painting as a style, at its first use or ahead of it."""
