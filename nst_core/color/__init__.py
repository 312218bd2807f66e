"""Colours: RGB, YUV, HDR, luma, histograms."""
