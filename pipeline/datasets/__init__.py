"""Datasets of pictures: manifests, annotations, and tar shards as sources and outputs."""
