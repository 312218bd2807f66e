"""Folders of pictures: found, planned, stylized, recorded, reported."""
