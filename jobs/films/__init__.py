"""Stylizing films, from the command to the verified outputs."""
