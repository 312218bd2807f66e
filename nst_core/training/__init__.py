"""Fitting a generator: steps, rates, photographs, stability."""
