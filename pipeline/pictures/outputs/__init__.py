"""Where pictures go and what they are called, and the sheet beside them."""
