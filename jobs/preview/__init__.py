"""A look before the run: frames and pictures in many styles, on a sheet or a page."""
