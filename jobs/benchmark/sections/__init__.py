"""The sections of `nst bench`."""
