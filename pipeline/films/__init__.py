"""Films: found, planned, brought to their verified outputs, reported."""
