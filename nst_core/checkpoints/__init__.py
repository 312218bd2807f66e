"""Checkpoints: ours, bundled ones, other programs' and exported ones."""
