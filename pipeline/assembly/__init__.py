"""The output of a film: spliced pieces and copied streams, and the proof that nothing is lost."""
