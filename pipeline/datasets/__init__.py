"""Datasets of pictures: manifests, tar shards, annotations, and the proof of what was made."""
