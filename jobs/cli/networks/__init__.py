"""`nst styles` and `nst weights`: the networks at hand."""
