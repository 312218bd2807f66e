"""Stylizing folders of pictures."""
