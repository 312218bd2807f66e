"""`nst train`."""
