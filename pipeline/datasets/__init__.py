"""Datasets of pictures: manifests, and tar shards as sources and outputs."""
