"""Measures of pictures and films."""
