"""Measuring generators, films and enlargements."""
