"""Segments of a film: cut, decoded, stylized, encoded, kept."""
