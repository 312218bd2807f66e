"""Pictures too large for the memory: computed by tiles or by rows."""
