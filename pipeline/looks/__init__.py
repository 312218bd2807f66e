"""Looks of a film's frames: which styles they get, and how much of each, by masks and timelines."""
