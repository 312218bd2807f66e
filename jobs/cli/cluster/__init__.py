"""`nst cluster` and `nst jobs`."""
