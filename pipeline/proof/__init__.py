"""Proof, at any later time, that outputs are as they were made."""
