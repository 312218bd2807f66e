"""Picture files: decoded, with their colours and orientation, and encoded."""
