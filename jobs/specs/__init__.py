"""What was asked for: specifications, checked at birth."""
