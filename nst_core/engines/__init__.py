"""Engines: a generator computed by torch, OpenVINO or CUDA, in some precision."""
