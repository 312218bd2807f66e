"""How stylized frames are encoded."""
